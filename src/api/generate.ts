// generate() of the models with a head: from a padded batch to prompts, and on
// through the generation loop.
import { ContextLengthError, InputError } from "../core/errors.ts";
import { generate, type GenerateResult } from "../generation/generate.ts";
import { uncachedMedia } from "../models/gemma3n/cached_media.ts";
import { unpadSequences } from "../models/gemma3n/model_inputs.ts";
import type { SequenceCache } from "../models/gemma3n/sequence_cache.ts";
import { checkInputs, softTokens } from "./forward.ts";
import { Gemma3nLanguageModel } from "./language_model.ts";
import type { LoadedModel } from "./loaded_model.ts";
import {
  type Gemma3nGenerateOptions,
  type Gemma3nInputs,
  listCaches,
} from "./model_io.ts";

/** Continues each sequence of a batch until it ends. */
export async function generateBatch(
  model: LoadedModel,
  options: Gemma3nGenerateOptions,
): Promise<GenerateResult> {
  checkInputs(options);
  const {
    inputIds,
    attentionMask,
    tokenTypeIds: _tokenTypeIds,
    pixelValues,
    inputFeatures,
    inputFeaturesMask,
    pastKeyValues,
    ...generation
  } = options;
  const inputs: Gemma3nInputs = {
    inputIds,
    attentionMask,
    pixelValues,
    inputFeatures,
    inputFeaturesMask,
  };
  const { signal } = generation;
  const whole = unpadSequences(inputIds, attentionMask);
  const caches = listCaches(pastKeyValues, whole.length);
  const sequences = whole.map(({ ids, columns }, i) => {
    checkLength(model, ids);
    const cached = checkContinuation(caches?.[i], ids);
    const fresh = {
      ids: ids.subarray(cached),
      columns: columns.subarray(cached),
    };
    return { ids, cached, fresh };
  });
  const media = uncachedMedia(inputs, sequences, model.config);
  const placed = await model.run(
    () => softTokens(model, media, sequences.map((s) => s.fresh), signal),
    signal,
  );
  const prompts = placed.sequences.map(({ soft }, i) => ({
    inputIds: sequences[i]!.ids,
    soft,
    cache: caches?.[i],
  }));
  return await generate(new Gemma3nLanguageModel(model), prompts, {
    onWarning: model.warn,
    ...generation,
    generationConfig: model.generationConfig,
  });
}

// Before the towers run: their work would be for nothing.
function checkLength({ runtime }: LoadedModel, { length }: Int32Array): void {
  const { contextLength } = runtime.decoder.options;
  if (length < contextLength) return;
  throw new ContextLengthError(
    `Cannot continue a prompt of ${length} tokens: the context holds ${contextLength}; shorten it, or load the model with a larger "contextLength"`,
    { requested: length + 1, available: contextLength },
  );
}

/** Number of ids that the cache holds, which must be the prompt's first. */
function checkContinuation(
  cache: SequenceCache | undefined,
  ids: Int32Array,
): number {
  if (cache === undefined) return 0;
  const held = cache.ids;
  if (held.length >= ids.length) {
    throw new InputError(
      `Cannot continue the cache: it holds ${held.length} tokens, the prompt has ${ids.length}; ` +
        "pass the whole sequence with at least one new token, or crop the cache",
    );
  }
  const at = held.findIndex((id, i) => id !== ids[i]);
  if (at < 0) return held.length;
  throw new InputError(
    `Cannot continue the cache: token ${at} of the prompt is ${
      ids[at]
    }, the cache holds ${held[at]}; crop the cache to ${at} tokens`,
  );
}
