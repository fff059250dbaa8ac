// Sizes of the decoder, from what the user asked for.
import type { CacheDtype, WeightFormat } from "../core/dtype.ts";
import { InputError } from "../core/errors.ts";
import type { Gemma3nConfig } from "../models/gemma3n/config.ts";
import type { DecoderOptions } from "../models/gemma3n/decoder.ts";
import type { CacheDtypeOption, ModelOptions } from "./model_options.ts";

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
    perLayerEmbeddings = "auto",
    cacheDtype: wanted = "auto",
  } = options;
  const counts = { contextLength, maxBatchSize, prefillChunk };
  for (const [name, value] of Object.entries(counts)) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new InputError(
        `Cannot load the model: "${name}" is ${value}, wanted a whole number of at least 1`,
      );
    }
  }
  const cacheDtype = resolveCacheDtype(wanted, dtype);
  if (contextLength > textConfig.maxPositionEmbeddings) {
    throw new InputError(
      `Cannot load the model: "contextLength" is ${contextLength}, the model was made for at most ${textConfig.maxPositionEmbeddings} tokens`,
    );
  }
  if (perLayerEmbeddings !== "auto" && perLayerEmbeddings !== "file") {
    throw new InputError(
      `Cannot load the model: "perLayerEmbeddings" is "${perLayerEmbeddings}", wanted "auto" or "file"`,
    );
  }
  return { ...counts, fastPrefill, dtype, cacheDtype, perLayerEmbeddings };
}

function resolveCacheDtype(
  wanted: CacheDtypeOption,
  dtype: WeightFormat,
): CacheDtype {
  switch (wanted) {
    case "auto":
      return dtype === "f32" ? "f32" : "f16";
    case "f32":
    case "f16":
    case "q8":
      return wanted;
    default:
      throw unknownCacheDtype(wanted satisfies never);
  }
}

function unknownCacheDtype(name: string): Error {
  return new InputError(
    `Cannot load the model: "cacheDtype" is "${name}", wanted "f32", "f16", "q8" or "auto"`,
  );
}
