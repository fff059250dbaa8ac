// Options that say how to generate: those of Transformers' GenerationConfig in
// camelCase, from generation_config.json and from the call, merged and checked.
import { InputError, UnsupportedError } from "../core/errors.ts";
import {
  checkOption,
  nearestName,
  OPTION_CHECKS,
  UNSUPPORTED_OPTIONS,
} from "./option_checks.ts";
import type { SequenceBias } from "./penalties.ts";

/** How to generate. What is left out comes from the model's generation_config.json, else from Transformers' defaults. */
export interface GenerationConfig {
  /** Most new tokens. Default 20, with a warning, as in Transformers. */
  readonly maxNewTokens?: number | undefined;
  /** Most tokens of a sequence, prompt included; `maxNewTokens` takes precedence. */
  readonly maxLength?: number | undefined;
  /** No end-of-sequence token before this many new tokens. Default 0. */
  readonly minNewTokens?: number | undefined;
  /** Ids that end a sequence; `[]` for none. */
  readonly eosTokenId?: number | readonly number[] | undefined;
  /** Text that ends a sequence, searched in the new text; needs `tokenizer`. */
  readonly stopStrings?: string | readonly string[] | undefined;
  /** Sample, instead of taking the likeliest token. Default false. */
  readonly doSample?: boolean | undefined;
  /** Integer from 0; the same seed gives the same samples. Default: a fresh one per prompt. */
  readonly seed?: number | undefined;
  /** Above 0; higher is more varied. Only when sampling. Default 1. */
  readonly temperature?: number | undefined;
  /** Sample from the k likeliest tokens; 0 for all. Default 50. */
  readonly topK?: number | undefined;
  /** Sample from the likeliest tokens that together have this probability. Default 1. */
  readonly topP?: number | undefined;
  /** Sample from tokens at least this likely, relative to the likeliest. */
  readonly minP?: number | undefined;
  /** Above 0; more than 1 makes tokens of prompt and text less likely. Default 1. */
  readonly repetitionPenalty?: number | undefined;
  /** Subtracted from the logits of tokens that the new text has. Default 0. */
  readonly presencePenalty?: number | undefined;
  /** Subtracted from the logit of a token for each time the new text has it. Default 0. */
  readonly frequencyPenalty?: number | undefined;
  /** No run of this many tokens twice; 0 for no limit. Default 0. */
  readonly noRepeatNgramSize?: number | undefined;
  /** Added to logits, by token id. */
  readonly logitBias?: Readonly<Record<number, number>> | undefined;
  /** Added to the logit of the last id where the others precede it. */
  readonly sequenceBias?: readonly SequenceBias[] | undefined;
  /** Sequences of ids that must not occur. */
  readonly badWordsIds?: readonly (readonly number[])[] | undefined;
  /** Ids that must not occur. */
  readonly suppressTokens?: readonly number[] | undefined;
  /** Continuations per prompt; more than 1 only when sampling. Default 1. */
  readonly numReturnSequences?: number | undefined;
  /** Keep the model's logits of every step, `[V]` each. Default false. */
  readonly outputLogits?: boolean | undefined;
  /** Keep the processed logits of every step, `[V]` each. Default false. */
  readonly outputScores?: boolean | undefined;
  /** Log-probabilities of the chosen token and of this many likeliest ones, before processing; 0 for the chosen one's alone. */
  readonly logprobs?: number | undefined;
}

/** Options that may stay open. */
export type OpenOption =
  | "maxNewTokens"
  | "maxLength"
  | "seed"
  | "minP"
  | "logprobs";

/** Options that take another form: `logitBias` becomes part of `sequenceBias`. */
export type ReshapedOption = "eosTokenId" | "stopStrings" | "logitBias";

/** A {@link GenerationConfig} with every default filled in. */
export type ResolvedGenerationConfig =
  & { readonly [K in OpenOption]: GenerationConfig[K] }
  & {
    readonly [
      K in Exclude<keyof GenerationConfig, OpenOption | ReshapedOption>
    ]: NonNullable<GenerationConfig[K]>;
  }
  & {
    /** Ids that end a sequence. */
    readonly eosTokenId: readonly number[];
    /** Texts that end a sequence. */
    readonly stopStrings: readonly string[];
  };

/** Receives what a careful user should know. */
export type WarningSink = (message: string) => void;

// Of a greedy call these say nothing: naming one suggests that sampling was meant.
const SAMPLING_ONLY = ["temperature", "topK", "topP", "minP"] as const;

/**
 * Merges the call's options over the model's defaults and checks them.
 *
 * @param call The call's options.
 * @param defaults What `parseGenerationConfig()` made of generation_config.json.
 * @throws {InputError} For an unknown name, a wrong type or a value out of range.
 * @throws {UnsupportedError} For an option that only Transformers has.
 */
export function resolveGenerationConfig(
  call: GenerationConfig,
  defaults: GenerationConfig = {},
  onWarning: WarningSink = () => {},
): ResolvedGenerationConfig {
  const given = givenOptions(call);
  const base = givenOptions(defaults);
  if (given.maxLength !== undefined) delete base.maxNewTokens;
  const merged: GenerationConfig = { ...base, ...given };
  for (const [name, value] of Object.entries(merged)) checkOption(name, value);

  const doSample = merged.doSample ?? false;
  warnOfConflicts(given, doSample, onWarning);
  const numReturnSequences = merged.numReturnSequences ?? 1;
  if (numReturnSequences > 1 && !doSample) {
    throw new InputError(
      `Cannot return ${numReturnSequences} sequences per prompt: without sampling all are the same; set \`doSample\` to true`,
    );
  }
  const logitBias = Object.entries(merged.logitBias ?? {});
  return {
    maxNewTokens: merged.maxNewTokens,
    maxLength: merged.maxLength,
    minNewTokens: merged.minNewTokens ?? 0,
    eosTokenId: [merged.eosTokenId ?? []].flat(),
    stopStrings: [merged.stopStrings ?? []].flat(),
    doSample,
    seed: merged.seed,
    temperature: merged.temperature ?? 1,
    topK: merged.topK ?? 50,
    topP: merged.topP ?? 1,
    minP: merged.minP,
    repetitionPenalty: merged.repetitionPenalty ?? 1,
    presencePenalty: merged.presencePenalty ?? 0,
    frequencyPenalty: merged.frequencyPenalty ?? 0,
    noRepeatNgramSize: merged.noRepeatNgramSize ?? 0,
    sequenceBias: [
      ...(merged.sequenceBias ?? []),
      ...logitBias.map(([id, bias]): SequenceBias => [[Number(id)], bias]),
    ],
    badWordsIds: merged.badWordsIds ?? [],
    suppressTokens: merged.suppressTokens ?? [],
    numReturnSequences,
    outputLogits: merged.outputLogits ?? false,
    outputScores: merged.outputScores ?? false,
    logprobs: merged.logprobs,
  };
}

/** The options that have a value; an explicit `undefined` is as good as none. */
function givenOptions(
  config: GenerationConfig,
): { -readonly [K in keyof GenerationConfig]: GenerationConfig[K] } {
  for (const name of Object.keys(config)) {
    if (Object.hasOwn(OPTION_CHECKS, name)) continue;
    if (Object.hasOwn(UNSUPPORTED_OPTIONS, name)) {
      throw new UnsupportedError(
        `Cannot generate with the option "${name}": it is not supported`,
      );
    }
    throw new InputError(
      `Cannot generate with the option "${name}": there is no such option, did you mean "${
        nearestName(name, Object.keys(OPTION_CHECKS))
      }"`,
    );
  }
  return Object.fromEntries(
    Object.entries(config).filter(([, value]) => value !== undefined),
  );
}

function warnOfConflicts(
  given: GenerationConfig,
  doSample: boolean,
  onWarning: WarningSink,
): void {
  if (given.maxNewTokens !== undefined && given.maxLength !== undefined) {
    onWarning("`maxNewTokens` takes precedence over `maxLength`");
  }
  if ((given.minNewTokens ?? 0) > (given.maxNewTokens ?? Infinity)) {
    onWarning(
      `\`minNewTokens\` ${given.minNewTokens} is not reached: \`maxNewTokens\` is ${given.maxNewTokens}`,
    );
  }
  if (doSample) return;
  for (const name of SAMPLING_ONLY) {
    if (given[name] !== undefined) {
      onWarning(`\`${name}\` has no effect unless \`doSample\` is true`);
    }
  }
}
