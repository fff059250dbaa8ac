// Sizes of the decoder, from what the user asked for.
import type { WeightFormat } from "../core/dtype.ts";
import { InputError } from "../core/errors.ts";
import type { Gemma3nConfig } from "../models/gemma3n/config.ts";
import type { DecoderOptions } from "../models/gemma3n/decoder.ts";
import type { ModelOptions } from "./model_options.ts";

const DEFAULT_CONTEXT_LENGTH = 4096;
const DEFAULT_MAX_BATCH_SIZE = 4;
const DEFAULT_PREFILL_CHUNK = 512;

/**
 * Fills in defaults and checks ranges; `dtype` is the resolved one.
 *
 * @throws {InputError} When a size is no whole number, or the context is longer than the model's.
 */
export function decoderOptions(
  { textConfig }: Gemma3nConfig,
  options: ModelOptions,
  dtype: WeightFormat,
): DecoderOptions {
  const {
    contextLength = Math.min(
      textConfig.maxPositionEmbeddings,
      DEFAULT_CONTEXT_LENGTH,
    ),
    maxBatchSize = DEFAULT_MAX_BATCH_SIZE,
    prefillChunk = DEFAULT_PREFILL_CHUNK,
    fastPrefill = true,
    cacheDtype = dtype === "f32" ? "f32" : "f16",
  } = options;
  const counts = { contextLength, maxBatchSize, prefillChunk };
  for (const [name, value] of Object.entries(counts)) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new InputError(
        `Cannot load the model: "${name}" is ${value}, wanted a whole number of at least 1`,
      );
    }
  }
  if (cacheDtype !== "f32" && cacheDtype !== "f16") {
    throw new InputError(
      `Cannot load the model: "cacheDtype" is "${cacheDtype}", wanted "f32" or "f16"`,
    );
  }
  if (contextLength > textConfig.maxPositionEmbeddings) {
    throw new InputError(
      `Cannot load the model: "contextLength" is ${contextLength}, the model was made for at most ${textConfig.maxPositionEmbeddings} tokens`,
    );
  }
  return { ...counts, fastPrefill, dtype, cacheDtype };
}
