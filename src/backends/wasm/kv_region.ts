// The part of the memory that holds key-value stores: places of the sizes that
// were reserved, each free or taken.
import { DeviceError } from "../../core/errors.ts";
import type { KvSpec } from "../../ops/ops.ts";
import { align } from "./planner.ts";
import { ringBytes, WasmKvStore } from "./tensors.ts";

/** Hands out reserved places. A place goes only to a store of its size, so nothing fragments. */
export class KvRegion {
  /** Bytes of all places. */
  bytes = 0;
  private readonly free = new Map<number, number[]>();
  private readonly stores = new Set<WasmKvStore>();

  /** Makes a place for each of these. */
  reserve(specs: readonly KvSpec[]): void {
    for (const spec of specs) {
      this.placesOf(spec).push(this.bytes);
      this.bytes += storeBytes(spec);
    }
  }

  /**
   * Takes a place.
   *
   * @throws {DeviceError} When none of that size is free.
   */
  create(spec: KvSpec): WasmKvStore {
    const offset = this.placesOf(spec).pop();
    if (offset === undefined) {
      const { capacity, kvHeads, headDim } = spec;
      throw new DeviceError(
        `Cannot create a key-value store of ${capacity} positions, ` +
          `${kvHeads} heads of ${headDim}: none that was reserved is free; ` +
          "free one, or reserve more before the memory is taken",
      );
    }
    const store = new WasmKvStore(spec, offset);
    this.stores.add(store);
    return store;
  }

  /** Gives a place back. A store that was given back stays so. */
  release(store: WasmKvStore): void {
    if (!this.stores.delete(store)) return;
    store.taken = false;
    this.placesOf(store).push(store.offset);
  }

  private placesOf(spec: KvSpec): number[] {
    const bytes = storeBytes(spec);
    let places = this.free.get(bytes);
    if (!places) {
      places = [];
      this.free.set(bytes, places);
    }
    return places;
  }
}

function storeBytes(spec: KvSpec): number {
  return align(2 * ringBytes(spec));
}
