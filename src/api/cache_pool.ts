// Caches that calls take for themselves. A call that finds no room waits for
// another one to give its caches back.
import { DeviceError } from "../core/errors.ts";
import type { SequenceCache } from "../models/gemma3n/sequence_cache.ts";
import { CallQueue } from "./call_queue.ts";

/** Takes and gives back the caches of calls. */
export class CachePool {
  readonly #create: (maxLength: number) => SequenceCache;
  /** Takers, in the order they came: a large one is not starved by small ones. */
  readonly #takers = new CallQueue();
  #taken = 0;
  #wake: (() => void) | undefined;
  #closed: (() => Error) | undefined;

  /** Makes caches by `create`, which throws a DeviceError when there is no room. */
  constructor(create: (maxLength: number) => SequenceCache) {
    this.#create = create;
  }

  /**
   * Takes caches of these lengths, all or none. Waits while other calls hold
   * caches; what a caller made by `createCache()` is not waited for.
   *
   * @throws {DeviceError} When there is no room though no call holds any.
   */
  take(
    lengths: readonly number[],
    signal?: AbortSignal,
  ): Promise<SequenceCache[]> {
    if (lengths.length === 0) return Promise.resolve([]);
    return this.#takers.run(async () => {
      while (true) {
        signal?.throwIfAborted();
        if (this.#closed) throw this.#closed();
        try {
          return this.#takeAll(lengths);
        } catch (error) {
          if (!(error instanceof DeviceError) || this.#taken === 0) throw error;
        }
        await this.#nextRelease(signal);
      }
    }, signal);
  }

  /** Gives caches back. */
  give(caches: readonly SequenceCache[]): void {
    for (const cache of caches) cache.dispose();
    this.#taken -= caches.length;
    this.#wake?.();
  }

  /** Those who wait, and all to come, reject with `reason()`. */
  close(reason: () => Error): void {
    this.#closed = reason;
    this.#takers.close(reason);
    this.#wake?.();
  }

  #takeAll(lengths: readonly number[]): SequenceCache[] {
    const caches: SequenceCache[] = [];
    try {
      for (const length of lengths) caches.push(this.#create(length));
    } catch (error) {
      for (const cache of caches) cache.dispose();
      throw error;
    }
    this.#taken += caches.length;
    return caches;
  }

  async #nextRelease(signal: AbortSignal | undefined): Promise<void> {
    let wake = () => {};
    await new Promise<void>((resolve) => {
      this.#wake = wake = resolve;
      signal?.addEventListener("abort", wake);
    });
    signal?.removeEventListener("abort", wake);
    this.#wake = undefined;
  }
}
