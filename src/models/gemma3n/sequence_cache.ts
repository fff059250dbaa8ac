// The state of one sequence: how many tokens it holds, and their keys and
// values in the layers that own a cache.
import type { CacheDtype } from "../../core/dtype.ts";
import { ContextLengthError, InputError } from "../../core/errors.ts";
import type { Device } from "../../ops/device.ts";
import type { KvSpec, KvStore } from "../../ops/ops.ts";
import type { Gemma3nTextConfig } from "./config.ts";
import { numKvOwningLayers } from "./kv_sharing.ts";

/**
 * Sizes of the stores of one sequence, one for each owning layer. A sliding
 * layer is a ring of `window - 1 + chunk` rows: the first row of a step still
 * sees its whole window after all rows of the step were written.
 */
export function kvSpecs(
  config: Gemma3nTextConfig,
  maxLength: number,
  chunk: number,
  dtype: CacheDtype,
): KvSpec[] {
  return config.layerTypes.slice(0, numKvOwningLayers(config)).map((type) => ({
    capacity: type === "sliding_attention"
      ? Math.min(maxLength, config.slidingWindow - 1 + chunk)
      : maxLength,
    kvHeads: config.numKeyValueHeads,
    headDim: config.headDim,
    dtype,
  }));
}

/**
 * Keys and values of one sequence. Made by a model's `createCache()`, passed
 * to its calls as `pastKeyValues`, given back by `dispose()`.
 *
 * @example
 * ```ts
 * import { Gemma3nForConditionalGeneration } from "@g3n/core";
 *
 * await using model = await Gemma3nForConditionalGeneration.fromPretrained("tests/reference/tiny", { dtype: "f32" });
 * using cache = model.createCache({ maxLength: 64 });
 * console.log(cache.length, cache.maxLength); // 0 64
 * ```
 */
export class SequenceCache implements Disposable {
  /** Most tokens the cache can hold. */
  readonly maxLength: number;
  readonly #device: Device;
  readonly #window: number;
  readonly #ids: Int32Array;
  #stores: readonly KvStore[];
  #length = 0;
  /** Most tokens ever written: a ring keeps the last rows of these, also after a crop. */
  #highest = 0;

  /** Takes the stores from `device`. */
  constructor(
    device: Device,
    config: Gemma3nTextConfig,
    maxLength: number,
    chunk: number,
    dtype: CacheDtype,
  ) {
    this.maxLength = maxLength;
    this.#device = device;
    this.#window = config.slidingWindow;
    this.#ids = new Int32Array(maxLength);
    const stores: KvStore[] = [];
    this.#stores = stores;
    try {
      for (const spec of kvSpecs(config, maxLength, chunk, dtype)) {
        stores.push(device.createKvStore(spec));
      }
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** Tokens held. */
  get length(): number {
    return this.#length;
  }

  /** Ids of the tokens held, `[length]`; a copy. */
  get ids(): Int32Array {
    return this.#ids.slice(0, this.#length);
  }

  /** Whether `dispose()` was called. */
  get disposed(): boolean {
    return this.#stores.length === 0;
  }

  /**
   * Stores by owning layer.
   *
   * @internal
   */
  get stores(): readonly KvStore[] {
    if (this.disposed) {
      throw new InputError(
        "Cannot use the cache: it was disposed; create another with createCache()",
      );
    }
    return this.#stores;
  }

  /**
   * Makes ready for a step that writes `count` more tokens, which may fail
   * half-way and leave its rows written.
   *
   * @throws {ContextLengthError} When they do not fit.
   */
  reserve(count: number): void {
    const requested = this.#length + count;
    if (requested > this.maxLength) {
      throw new ContextLengthError(
        `Cannot extend the sequence to ${requested} tokens: its cache has room for ${this.maxLength}; ` +
          `create it with a larger maxLength, or shorten the prompt`,
        { requested, available: this.maxLength },
      );
    }
    this.#highest = Math.max(this.#highest, requested);
  }

  /** Counts tokens whose keys and values a step has written. */
  advance(ids: Int32Array): void {
    this.#ids.set(ids, this.#length);
    this.#length += ids.length;
  }

  /**
   * Forgets all tokens after the first `length` (a negative value: the last
   * `-length` tokens), as Transformers' `Cache.crop`.
   *
   * @throws {InputError} When there are fewer tokens, or when the sliding
   * layers no longer hold the window before that point.
   */
  crop(length: number): void {
    const target = length < 0 ? this.#length + length : length;
    if (!Number.isInteger(target) || target < 0 || target > this.#length) {
      throw new InputError(
        `Cannot crop the cache to ${length} tokens: it holds ${this.#length}`,
      );
    }
    const oldest = Math.max(0, target - (this.#window - 1));
    for (const store of this.stores) {
      // A full layer's store never wraps, so its oldest row is always there.
      if (target > 0 && this.#highest - store.capacity > oldest) {
        const least = this.#highest - store.capacity + this.#window - 1;
        throw new InputError(
          `Cannot crop the cache to ${target} tokens: its sliding layers kept what follows token ${
            this.#highest - store.capacity
          }, so ${least} is the least (or 0); start a new cache instead`,
        );
      }
    }
    this.#length = target;
    if (target === 0) this.#highest = 0;
  }

  /** Gives the memory back. */
  dispose(): void {
    for (const store of this.#stores) this.#device.freeKvStore(store);
    this.#stores = [];
  }

  /** Gives the memory back at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
