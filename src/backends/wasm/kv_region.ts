// The part of the memory that holds key-value stores.
import { DeviceError } from "../../core/errors.ts";
import { FreeList } from "../../ops/free_list.ts";
import type { KvSpec } from "../../ops/ops.ts";
import { align } from "./planner.ts";
import { POISON_BYTES, ringBytes, WasmKvStore } from "./tensors.ts";

/** Hands out places in the bytes that were reserved. */
export class KvRegion {
  private readonly free = new FreeList(0);

  /** Bytes reserved so far. */
  get bytes(): number {
    return this.free.limit;
  }

  /** Makes room for these. */
  reserve(specs: readonly KvSpec[]): void {
    for (const spec of specs) this.free.limit += storeBytes(spec);
  }

  /**
   * Takes a place.
   *
   * @throws {DeviceError} When none that is free is large enough.
   */
  create(spec: KvSpec, device: symbol): WasmKvStore {
    const bytes = storeBytes(spec);
    const offset = this.free.take(bytes);
    if (offset === undefined) {
      throw new DeviceError(
        `Cannot create a key-value store of ${bytes} bytes: the ` +
          `${this.bytes} bytes that were reserved have no free place for it; ` +
          "free a store, or reserve more before the memory is taken",
      );
    }
    return new WasmKvStore(spec, offset, device);
  }

  /** Gives the place of a store that is taken back. */
  release(store: WasmKvStore): void {
    store.taken = false;
    this.free.give(store.offset, storeBytes(store));
  }
}

function storeBytes(spec: KvSpec): number {
  const isHalf = spec.dtype === "f16";
  return align(2 * ringBytes(spec) + (isHalf ? POISON_BYTES : 0));
}
