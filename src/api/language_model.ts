// The model as generation sees it: sequences over caches, calls queued.
import { InputError } from "../core/errors.ts";
import type {
  CausalLm,
  LmCallOptions,
  LmPrompt,
  LmSequence,
  Prefilled,
  PrefillRequest,
  StepInput,
} from "../generation/causal_lm.ts";
import type { Decoder } from "../models/gemma3n/decoder.ts";
import type { SequenceCache } from "../models/gemma3n/sequence_cache.ts";
import type { SoftTokens } from "../models/gemma3n/token_embeddings.ts";
import type { CallQueue } from "./call_queue.ts";

/** A prompt with its soft tokens, and the cache it continues. */
export interface Gemma3nPrompt extends LmPrompt {
  /** For the ids that are not in the cache yet. */
  readonly soft: SoftTokens | undefined;
  /** A cache of the caller's, which holds the first ids. */
  readonly cache: SequenceCache | undefined;
}

/** A live sequence. */
export interface Gemma3nSequence extends LmSequence {
  readonly cache: SequenceCache;
  /** Whether the cache is given back at the end. */
  readonly owned: boolean;
}

/** {@link CausalLm} over a decoder. */
export class Gemma3nLanguageModel
  implements CausalLm<Gemma3nPrompt, Gemma3nSequence> {
  readonly #decoder: Decoder;
  readonly #queue: CallQueue;

  /** Joins a decoder and the queue of its model. */
  constructor(decoder: Decoder, queue: CallQueue) {
    this.#decoder = decoder;
    this.#queue = queue;
  }

  /** V. */
  get vocabSize(): number {
    return this.#decoder.config.textConfig.vocabSize;
  }

  /** Most positions of a sequence. */
  get contextLength(): number {
    return this.#decoder.options.contextLength;
  }

  /** Starts sequences, see {@link CausalLm.prefill}. */
  async prefill(
    requests: readonly PrefillRequest<Gemma3nPrompt>[],
    { signal }: LmCallOptions = {},
  ): Promise<Prefilled<Gemma3nSequence>[]> {
    const sequences: Gemma3nSequence[] = [];
    try {
      for (const request of requests) sequences.push(this.#open(request));
      const outputs = await this.#queue.run(() =>
        this.#decoder.run(
          requests.map(({ prompt }, i) => {
            const { cache } = sequences[i]!;
            const ids = prompt.inputIds.subarray(cache.length);
            return { cache, ids, soft: prompt.soft, keep: 1 };
          }),
          { signal },
        ), signal);
      return outputs.map(({ logits }, i) => ({
        sequence: sequences[i]!,
        logits,
      }));
    } catch (error) {
      this.release(sequences);
      throw error;
    }
  }

  /** Continues sequences, see {@link CausalLm.step}. */
  async step(
    inputs: readonly StepInput<Gemma3nSequence>[],
    { signal }: LmCallOptions = {},
  ): Promise<Float32Array[]> {
    const outputs = await this.#queue.run(() =>
      this.#decoder.run(
        inputs.map(({ sequence, ids }) => ({
          cache: sequence.cache,
          ids: Int32Array.from(ids),
          keep: ids.length,
        })),
        { signal },
      ), signal);
    return outputs.map((output) => output.logits);
  }

  /** Gives back what prefill took. */
  release(sequences: readonly Gemma3nSequence[]): void {
    for (const { cache, owned } of sequences) if (owned) cache.dispose();
  }

  #open({ prompt, maxLength }: PrefillRequest<Gemma3nPrompt>): Gemma3nSequence {
    const { cache, inputIds } = prompt;
    if (cache === undefined) {
      return new CacheSequence(this.#decoder.createCache(maxLength), true);
    }
    if (cache.length >= inputIds.length) {
      throw new InputError(
        `Cannot continue the cache: it holds ${cache.length} tokens, the prompt has ${inputIds.length}; ` +
          "pass the whole sequence with at least one new token, or crop the cache",
      );
    }
    return new CacheSequence(cache, false);
  }
}

class CacheSequence implements Gemma3nSequence {
  readonly cache: SequenceCache;
  readonly owned: boolean;

  constructor(cache: SequenceCache, owned: boolean) {
    this.cache = cache;
    this.owned = owned;
  }

  get length(): number {
    return this.cache.length;
  }
}
