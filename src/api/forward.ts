// forward() of all model classes: a padded batch through towers and decoder,
// and back into the shape of the batch.
import { InputError } from "../core/errors.ts";
import { checkHostTensor, type HostTensor } from "../core/tensor.ts";
import type { StepResult } from "../models/gemma3n/decoder_step.ts";
import {
  placeSoftTokens,
  type UnpaddedSequence,
  unpadSequences,
} from "../models/gemma3n/model_inputs.ts";
import { padHiddenStates, padKept } from "../models/gemma3n/model_outputs.ts";
import type { MediaInputs } from "../models/gemma3n/cached_media.ts";
import type { SequenceCache } from "../models/gemma3n/sequence_cache.ts";
import type { LoadedModel } from "./loaded_model.ts";
import {
  type ForwardOptions,
  type Gemma3nInputs,
  type Gemma3nModelOutput,
  listCaches,
} from "./model_io.ts";

/** What forward() gives, the kept rows under one name. */
export interface ForwardOutput extends
  Omit<
    Gemma3nModelOutput,
    "lastHiddenState"
  > {
  /** Logits `[B, T, V]` or last hidden states `[B, T, D]`. */
  readonly kept: HostTensor<"float32">;
}

/** Runs a model over a batch. */
export async function forward(
  model: LoadedModel,
  inputs: Gemma3nInputs,
  options: ForwardOptions,
  output: StepResult,
): Promise<ForwardOutput> {
  checkInputs(inputs);
  const { pastKeyValues, logitsToKeep = 0, signal } = options;
  if (!Number.isSafeInteger(logitsToKeep) || logitsToKeep < 0) {
    throw new InputError(
      `Cannot run the model: "logitsToKeep" is ${logitsToKeep}, wanted a whole number from 0`,
    );
  }
  const unpadded = unpadSequences(inputs.inputIds, inputs.attentionMask);
  const given = listCaches(pastKeyValues, unpadded.length);
  const caches = given ??
    await model.pool.take(unpadded.map(({ ids }) => ids.length), signal);
  try {
    const call = { inputs, unpadded, caches, options, output };
    const result = await model.run(() => runBatch(model, call), signal);
    return { ...result, ...(pastKeyValues && { pastKeyValues }) };
  } finally {
    if (given === undefined) model.pool.give(caches);
  }
}

interface BatchCall {
  readonly inputs: Gemma3nInputs;
  readonly unpadded: readonly Pick<UnpaddedSequence, "ids" | "columns">[];
  readonly caches: readonly SequenceCache[];
  readonly options: ForwardOptions;
  readonly output: StepResult;
}

async function runBatch(
  model: LoadedModel,
  { inputs, unpadded, caches, options, output }: BatchCall,
): Promise<ForwardOutput> {
  const { logitsToKeep = 0, outputHiddenStates = false, signal } = options;
  const { textConfig } = model.config;
  const T = inputs.inputIds.shape[1]!;
  const firstColumn = logitsToKeep > 0 ? Math.max(0, T - logitsToKeep) : 0;
  const { sequences, image, audio } = await softTokens(
    model,
    inputs,
    unpadded,
    signal,
  );
  const decoderInputs = sequences.map(({ ids, columns, soft }, i) => {
    const keep = columns.filter((column) => column >= firstColumn).length;
    return { cache: caches[i]!, ids, soft, keep };
  });
  const outputs = await model.runtime.decoder.run(decoderInputs, {
    signal,
    outputHiddenStates,
    output,
  });
  const batch = { sequences, outputs, columns: T };
  const width = output === "logits"
    ? textConfig.vocabSize
    : textConfig.hiddenSize;
  return {
    kept: padKept(batch, firstColumn, width),
    ...(outputHiddenStates && {
      hiddenStates: padHiddenStates(batch, textConfig),
    }),
    ...(image && { imageHiddenStates: image }),
    ...(audio && { audioHiddenStates: audio }),
  };
}

/** Sequences with the soft tokens of their media, and these by themselves. */
export interface SoftTokenBatch {
  readonly sequences: UnpaddedSequence[];
  readonly image: HostTensor<"float32"> | undefined;
  readonly audio: HostTensor<"float32"> | undefined;
}

/** Runs the towers and deals their soft tokens out. Part of a queued call. */
export async function softTokens(
  { runtime, config }: LoadedModel,
  { pixelValues, inputFeatures, inputFeaturesMask }: MediaInputs,
  sequences: readonly Pick<UnpaddedSequence, "ids" | "columns">[],
  signal: AbortSignal | undefined,
): Promise<SoftTokenBatch> {
  const { towers } = runtime;
  const image = pixelValues &&
    await towers.imageFeatures(pixelValues, { signal });
  const audio = inputFeatures && inputFeaturesMask &&
    await runtime.padAudioFeatures(
      await towers.audioFeatures(inputFeatures, inputFeaturesMask, { signal }),
      signal,
    );
  const placed = placeSoftTokens(sequences, { image, audio }, config);
  return { sequences: placed, image, audio };
}

/**
 * Checks what callers without types may pass.
 *
 * @throws {InputError} When a tensor has another type or rank, or one of two is missing.
 */
export function checkInputs(inputs: Gemma3nInputs): void {
  if (typeof inputs !== "object" || inputs === null) {
    throw new InputError(
      `Cannot run the model: its inputs are ${
        inputs === null ? "null" : typeof inputs
      }, wanted an object with inputIds`,
    );
  }
  const { inputIds, attentionMask, pixelValues } = inputs;
  const { inputFeatures, inputFeaturesMask } = inputs;
  checkHostTensor(inputIds, "inputIds", "int32", ["B", "T"]);
  if (attentionMask !== undefined) {
    checkHostTensor(attentionMask, "attentionMask", "int32", ["B", "T"]);
  }
  if (pixelValues !== undefined) checkPixelValues(pixelValues);
  if (inputFeatures === undefined && inputFeaturesMask === undefined) return;
  if (inputFeatures === undefined || inputFeaturesMask === undefined) {
    const [found, missing] = inputFeatures === undefined
      ? ["inputFeaturesMask", "inputFeatures"]
      : ["inputFeatures", "inputFeaturesMask"];
    throw new InputError(
      `Cannot run the model: "${found}" came without "${missing}"; pass both, as the processor gives them`,
    );
  }
  checkClips(inputFeatures, inputFeaturesMask);
}

/** Checks the type and rank of pictures. */
export function checkPixelValues(pixelValues: HostTensor<"float32">): void {
  checkHostTensor(pixelValues, "pixelValues", "float32", ["N", "3", "H", "W"]);
}

/** Checks the types and ranks of clips. */
export function checkClips(
  inputFeatures: HostTensor<"float32">,
  inputFeaturesMask: HostTensor<"uint8">,
): void {
  checkHostTensor(inputFeatures, "inputFeatures", "float32", ["C", "F", "M"]);
  checkHostTensor(inputFeaturesMask, "inputFeaturesMask", "uint8", ["C", "F"]);
}
