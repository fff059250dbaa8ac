// What a logits processor is, and the chain of them that a configuration asks
// for, in the order of Transformers' `_get_logits_processor`.
import type { TokenSampling } from "../core/random.ts";
import type { ResolvedGenerationConfig } from "./generation_config.ts";
import {
  biasSequences,
  penalizeCounts,
  penalizeRepetition,
} from "./penalties.ts";
import {
  forbidRepeatedNgrams,
  requireNewTokens,
  suppressTokens,
} from "./constraints.ts";
import { applyTemperature, keepMinP, keepTopK, keepTopP } from "./warpers.ts";

/** What a processor may know about the sequence whose next token is chosen. */
export interface LogitsContext {
  /** Prompt and new ids so far, `[T]`; valid during the call. */
  readonly inputIds: Int32Array;
  /** How many of them are the prompt. */
  readonly promptLength: number;
}

/**
 * Changes one row of logits `[V]` in place before a token is chosen from it.
 * `-Infinity` forbids an id. Runs between steps: it should take milliseconds.
 */
export type LogitsProcessor = (
  logits: Float32Array,
  context: LogitsContext,
) => void;

/**
 * The processors a configuration asks for, in order: biases, penalties,
 * constraints, the caller's own, and, when sampling, temperature and filters.
 *
 * @param vocabSize V of the model.
 * @param own Processors of the caller.
 * @throws {InputError} When an id to bias or forbid is not in the vocabulary.
 */
export function createLogitsProcessors(
  config: ResolvedGenerationConfig,
  vocabSize: number,
  own: readonly LogitsProcessor[] = [],
): LogitsProcessor[] {
  return [
    ...shapingProcessors(config, vocabSize),
    ...own,
    ...(config.doSample ? samplingProcessors(config) : []),
  ];
}

/**
 * Whether a token is chosen by the model's own logits, but for temperature and
 * filters when sampling, and nobody wants to see logits: how the model itself
 * may choose then. `undefined` where generation must.
 */
export function modelChoice(
  config: ResolvedGenerationConfig,
  vocabSize: number,
  own: readonly LogitsProcessor[] = [],
): { readonly sampling: TokenSampling | undefined } | undefined {
  const { outputLogits, outputScores, logprobs, minP } = config;
  if (outputLogits || outputScores || logprobs !== undefined) return undefined;
  if (own.length + shapingProcessors(config, vocabSize).length > 0) {
    return undefined;
  }
  if (!config.doSample) return { sampling: undefined };
  if (minP !== undefined) return undefined;
  const { temperature, topK, topP } = config;
  return { sampling: { temperature, topK, topP } };
}

function shapingProcessors(
  config: ResolvedGenerationConfig,
  vocabSize: number,
): LogitsProcessor[] {
  const processors: LogitsProcessor[] = [];
  const add = (processor: LogitsProcessor) => processors.push(processor);

  if (config.sequenceBias.length) {
    add(biasSequences(config.sequenceBias, vocabSize));
  }
  if (config.repetitionPenalty !== 1) {
    add(penalizeRepetition(config.repetitionPenalty));
  }
  if (config.presencePenalty !== 0 || config.frequencyPenalty !== 0) {
    add(penalizeCounts(config.presencePenalty, config.frequencyPenalty));
  }
  if (config.noRepeatNgramSize > 0) {
    add(forbidRepeatedNgrams(config.noRepeatNgramSize));
  }
  const badWords = config.badWordsIds.filter((ids) =>
    !(ids.length === 1 && config.eosTokenId.includes(ids[0]!))
  );
  if (badWords.length) {
    add(biasSequences(badWords.map((ids) => [ids, -Infinity]), vocabSize));
  }
  if (config.minNewTokens > 0 && config.eosTokenId.length) {
    add(requireNewTokens(config.minNewTokens, config.eosTokenId));
  }
  if (config.suppressTokens.length) add(suppressTokens(config.suppressTokens));
  return processors;
}

function samplingProcessors(
  config: ResolvedGenerationConfig,
): LogitsProcessor[] {
  const processors: LogitsProcessor[] = [];
  const add = (processor: LogitsProcessor) => processors.push(processor);
  if (config.temperature !== 1) add(applyTemperature(config.temperature));
  if (config.topK > 0) add(keepTopK(config.topK));
  if (config.topP < 1) add(keepTopP(config.topP));
  if (config.minP !== undefined) add(keepMinP(config.minP));
  return processors;
}
