// Inputs, options and outputs of the model.
import type { HostTensor } from "../core/tensor.ts";
import type { GenerateOptions } from "../generation/generate.ts";
import { SequenceCache } from "../models/gemma3n/sequence_cache.ts";
import { InputError } from "../core/errors.ts";

/** Inputs of a model of text alone, as a processor makes them. */
export interface Gemma3nTextInputs {
  /** int32 `[B, T]` */
  readonly inputIds: HostTensor<"int32">;
  /** int32 `[B, T]`, 1 = a token, 0 = padding. Default: all ones. */
  readonly attentionMask?: HostTensor<"int32"> | undefined;
  /** int32 `[B, T]`; accepted because processors give it, and not used. */
  readonly tokenTypeIds?: HostTensor<"int32"> | undefined;
}

/** Inputs as a processor makes them. */
export interface Gemma3nInputs extends Gemma3nTextInputs {
  /** float32 `[N, 3, H, W]`, pictures in the order of their placeholders. */
  readonly pixelValues?: HostTensor<"float32"> | undefined;
  /** float32 `[C, F, 128]`, clips in the order of their placeholders. */
  readonly inputFeatures?: HostTensor<"float32"> | undefined;
  /** uint8 `[C, F]`, 1 = valid. */
  readonly inputFeaturesMask?: HostTensor<"uint8"> | undefined;
}

/** Options of `createCache()`. */
export interface CacheOptions {
  /** Most tokens the cache can hold. Default: the model's `contextLength`. */
  readonly maxLength?: number | undefined;
}

/** One cache, or one for each sequence of the batch. */
export type PastKeyValues = SequenceCache | readonly SequenceCache[];

/** Options of {@link Gemma3nModel.forward} and {@link Gemma3nTextModel.forward}. */
export interface ModelForwardOptions {
  /** Caches to continue; `inputIds` are then the new tokens. */
  readonly pastKeyValues?: PastKeyValues | undefined;
  /** Also give the hidden states of all layers. Default false. */
  readonly outputHiddenStates?: boolean | undefined;
  /** Stops the call; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of {@link Gemma3nForConditionalGeneration.forward} and {@link Gemma3nForCausalLM.forward}. */
export interface ForwardOptions extends ModelForwardOptions {
  /** Logits of only the last so many columns; 0 for all. Default 0. */
  readonly logitsToKeep?: number | undefined;
}

/** What every `forward()` gives beside its result. */
export interface ForwardStates {
  /** The caches passed, extended. */
  readonly pastKeyValues?: PastKeyValues;
  /** `[A, B, T, D]` before each layer and after the last: the AltUp streams. */
  readonly hiddenStates?: readonly HostTensor<"float32">[];
  /** `[N, S, D]`: soft tokens of the pictures. */
  readonly imageHiddenStates?: HostTensor<"float32">;
  /** `[C, slots, D]`: soft tokens of the clips, padded as the decoder sees them. */
  readonly audioHiddenStates?: HostTensor<"float32">;
}

/** What {@link Gemma3nForConditionalGeneration.forward} and {@link Gemma3nForCausalLM.forward} give. */
export interface Gemma3nOutput extends ForwardStates {
  /** `[B, T, V]`, or the last `logitsToKeep` columns; zeros where the input is padding. */
  readonly logits: HostTensor<"float32">;
}

/** What {@link Gemma3nModel.forward} and {@link Gemma3nTextModel.forward} give. */
export interface Gemma3nModelOutput extends ForwardStates {
  /** `[B, T, D]` after the last norm; zeros where the input is padding. */
  readonly lastHiddenState: HostTensor<"float32">;
}

/** Options of {@link Gemma3nForCausalLM.generate}: inputs and how to go on from them. */
export interface Gemma3nTextGenerateOptions
  extends Gemma3nTextInputs, Omit<GenerateOptions, "generationConfig"> {
  /** Caches to continue; `inputIds` are the whole sequences, cached tokens included. */
  readonly pastKeyValues?: PastKeyValues | undefined;
}

/** Options of {@link Gemma3nForConditionalGeneration.generate}: inputs and how to go on from them. */
export interface Gemma3nGenerateOptions
  extends Gemma3nInputs, Omit<GenerateOptions, "generationConfig"> {
  /**
   * Caches to continue; `inputIds` are the whole sequences, cached tokens
   * included. Pictures and clips may be those of the whole sequences or of
   * the new tokens alone.
   */
  readonly pastKeyValues?: PastKeyValues | undefined;
}

/**
 * The caches of a batch of `batch` sequences, if any were passed.
 *
 * @throws {InputError} When their number differs, or one is none.
 */
export function listCaches(
  pastKeyValues: PastKeyValues | undefined,
  batch: number,
): readonly SequenceCache[] | undefined {
  if (pastKeyValues === undefined) return undefined;
  const caches: readonly SequenceCache[] = Array.isArray(pastKeyValues)
    ? pastKeyValues
    : [pastKeyValues as SequenceCache];
  if (!caches.every((cache) => cache instanceof SequenceCache)) {
    throw new InputError(
      "Cannot use pastKeyValues: it is no cache and no list of caches; make them with createCache()",
    );
  }
  if (caches.length !== batch) {
    throw new InputError(
      `Cannot continue ${batch} sequences: pastKeyValues has ${caches.length} caches; pass one for each`,
    );
  }
  return caches;
}
