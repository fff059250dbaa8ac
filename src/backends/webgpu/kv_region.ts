// The memory that holds key-value stores.
import { DeviceError } from "../../core/errors.ts";
import { FreeList } from "../../ops/free_list.ts";
import type { KvSpec } from "../../ops/ops.ts";
import {
  type GpuMemory,
  Region,
  storeBytes,
  WebGpuKvStore,
} from "./tensors.ts";

/** Hands out places in the bytes that were reserved. */
export class KvRegion {
  private readonly free = new FreeList(0);
  /** Where they lie, once the device's memory is taken. */
  memory: GpuMemory | undefined;

  /** Bytes reserved so far. */
  get bytes(): number {
    return this.free.limit;
  }

  /** Makes room for these. */
  reserve(specs: readonly KvSpec[]): void {
    for (const spec of specs) this.free.limit += storeBytes(spec);
  }

  /** A store without a place, for a plan. */
  static standIn(spec: KvSpec, device: symbol): WebGpuKvStore {
    return new WebGpuKvStore(spec, new Region(storeBytes(spec)), device);
  }

  /**
   * Takes a place.
   *
   * @throws {DeviceError} When none that is free is large enough.
   */
  create(spec: KvSpec, device: symbol): WebGpuKvStore {
    const bytes = storeBytes(spec);
    const offset = this.free.take(bytes);
    if (offset === undefined) {
      throw new DeviceError(
        `Cannot create a key-value store of ${bytes} bytes: the ` +
          `${this.bytes} bytes that were reserved have no free place for it; ` +
          "free a store, or reserve more before the memory is taken",
      );
    }
    const rings = new Region(bytes, this.memory, offset);
    return new WebGpuKvStore(spec, rings, device);
  }

  /** Gives the place of a store that is taken back. */
  release(store: WebGpuKvStore): void {
    store.taken = false;
    this.free.give(store.keys.offset, storeBytes(store));
  }
}
