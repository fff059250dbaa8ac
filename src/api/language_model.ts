// The model as generation sees it: sequences over caches, calls queued.
import type {
  CausalLm,
  ChooseInput,
  ChooseOptions,
  LmCallOptions,
  LmPrompt,
  LmSequence,
  Prefilled,
  PrefillRequest,
  StepInput,
  TokenChooser,
} from "../generation/causal_lm.ts";
import type { DecoderInput } from "../models/gemma3n/decoder.ts";
import type { SequenceCache } from "../models/gemma3n/sequence_cache.ts";
import type { SoftTokens } from "../models/gemma3n/token_embeddings.ts";
import type { LoadedModel } from "./loaded_model.ts";

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
  /** Whether the cache goes back to the pool at the end. */
  readonly pooled: boolean;
}

/** {@link CausalLm} over a loaded model. */
export class Gemma3nLanguageModel
  implements CausalLm<Gemma3nPrompt, Gemma3nSequence> {
  readonly #model: LoadedModel;

  /** Runs on a model, in its queue and with its caches. */
  constructor(model: LoadedModel) {
    this.#model = model;
  }

  /** V. */
  get vocabSize(): number {
    return this.#model.config.textConfig.vocabSize;
  }

  /** Most positions of a sequence. */
  get contextLength(): number {
    return this.#model.runtime.decoder.options.contextLength;
  }

  /** Choosing tokens where the decoder's device does, see {@link TokenChooser}. */
  get chooser(): TokenChooser<Gemma3nSequence> | undefined {
    const { decoder } = this.#model.runtime;
    const most = decoder.mostChosen;
    if (most === 0) return undefined;
    return {
      most,
      canSample: (sampling) => decoder.canSample(sampling),
      choose: (inputs, count, options) => this.#choose(inputs, count, options),
      takeBack: ({ cache }, count) => cache.crop(cache.length - count),
    };
  }

  /** Starts sequences, see {@link CausalLm.prefill}. */
  async prefill(
    requests: readonly PrefillRequest<Gemma3nPrompt>[],
    { signal }: LmCallOptions = {},
  ): Promise<Prefilled<Gemma3nSequence>[]> {
    const sequences = await this.#open(requests, signal);
    try {
      const inputs = requests.map(({ prompt }, i) => {
        const { cache } = sequences[i]!;
        const ids = prompt.inputIds.subarray(cache.length);
        return { cache, ids, soft: prompt.soft, keep: 1 };
      });
      const logits = await this.#run(inputs, signal);
      return sequences.map((sequence, i) => ({ sequence, logits: logits[i]! }));
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
    return await this.#run(
      inputs.map(({ sequence, ids }) => ({
        cache: sequence.cache,
        ids: Int32Array.from(ids),
        keep: ids.length,
      })),
      signal,
    );
  }

  /** Gives back what prefill took. */
  release(sequences: readonly Gemma3nSequence[]): void {
    const pooled = sequences.filter((sequence) => sequence.pooled);
    this.#model.pool.give(pooled.map(({ cache }) => cache));
  }

  async #run(
    inputs: readonly DecoderInput[],
    signal: AbortSignal | undefined,
  ): Promise<Float32Array[]> {
    const { decoder } = this.#model.runtime;
    const outputs = await this.#model.run(
      () => decoder.run(inputs, { signal }),
      signal,
    );
    return outputs.map((output) => output.kept);
  }

  async #choose(
    inputs: readonly ChooseInput<Gemma3nSequence>[],
    count: number,
    options: ChooseOptions = {},
  ): Promise<Int32Array[]> {
    const { decoder } = this.#model.runtime;
    const ids = inputs.map(({ sequence, id, noise }) => ({
      cache: sequence.cache,
      id,
      noise,
    }));
    return await this.#model.run(
      () => decoder.choose(ids, count, options),
      options.signal,
    );
  }

  async #open(
    requests: readonly PrefillRequest<Gemma3nPrompt>[],
    signal: AbortSignal | undefined,
  ): Promise<Gemma3nSequence[]> {
    const lengths = requests.filter(({ prompt }) => prompt.cache === undefined)
      .map(({ maxLength }) => maxLength);
    const pooled = await this.#model.pool.take(lengths, signal);
    return requests.map(({ prompt }) =>
      prompt.cache === undefined
        ? new CacheSequence(pooled.shift()!, true)
        : new CacheSequence(prompt.cache, false)
    );
  }
}

class CacheSequence implements Gemma3nSequence {
  readonly cache: SequenceCache;
  readonly pooled: boolean;

  constructor(cache: SequenceCache, pooled: boolean) {
    this.cache = cache;
    this.pooled = pooled;
  }

  get length(): number {
    return this.cache.length;
  }
}
