// The generation loop: prefill, choose, stop, step. Batches shrink as sequences
// finish; each sequence is computed as if it were alone.
import { InputError } from "../core/errors.ts";
import { randomSeed } from "../core/random.ts";
import type { CausalLm, LmPrompt, LmSequence } from "./causal_lm.ts";
import { LiveBatch } from "./live_batch.ts";
import {
  Continuation,
  type FinishReason,
  type GeneratedToken,
} from "./continuation.ts";
import {
  type GenerationConfig,
  type ResolvedGenerationConfig,
  resolveGenerationConfig,
  type WarningSink,
} from "./generation_config.ts";
import {
  createLogitsProcessors,
  type LogitsProcessor,
  modelChoice,
} from "./logits_processor.ts";
import type { StepLogprobs } from "./logprobs.ts";
import { resolveMaxLength, warnOfDefaultLength } from "./sequence_length.ts";
import type { Streamer } from "./streamer.ts";
import type { IdDecoder } from "./text_decoder.ts";

/** Options of {@link generateTokens}. */
export interface GenerateTokensOptions extends GenerationConfig {
  /** Defaults, from the model's generation_config.json. */
  readonly generationConfig?: GenerationConfig | undefined;
  /** Further processors, run after the built-in ones and before temperature and filters. */
  readonly logitsProcessors?: readonly LogitsProcessor[] | undefined;
  /** Needed with `stopStrings`. */
  readonly tokenizer?: IdDecoder | undefined;
  /** Ends the generation, at the latest after the slice of work under way; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Told of options without effect and of a length nobody asked for. */
  readonly onWarning?: WarningSink | undefined;
}

/** Options of {@link generate}. */
export interface GenerateOptions extends GenerateTokensOptions {
  /** Receives the ids as they come. */
  readonly streamer?: Streamer | undefined;
}

/** What {@link generate} gives; one entry per sequence, the continuations of a prompt side by side. */
export interface GenerateResult {
  /** Prompt and new ids, `[T]`, with the token that ended it. */
  readonly sequences: Int32Array[];
  /** Why each sequence ended. */
  readonly finishReasons: FinishReason[];
  /** The stop string that ended the sequence, if one did; its tokens are in the sequence. */
  readonly stopStrings: (string | undefined)[];
  /** Pass one as `seed` to get the same sample again. */
  readonly seeds: number[];
  /** With `outputLogits`: the model's logits `[V]` per new token. */
  readonly logits?: Float32Array[][];
  /** With `outputScores`: the processed logits `[V]` per new token. */
  readonly scores?: Float32Array[][];
  /** With `logprobs`: per new token. */
  readonly logprobs?: StepLogprobs[][];
}

/**
 * Continues prompts, one or several together, until each has ended.
 *
 * Finish reasons are `"stop"` (end-of-sequence token or stop string) and
 * `"length"`. An abort is none: the promise rejects with the signal's reason,
 * by default a `DOMException` named "AbortError"; what was generated until then
 * has gone to the streamer.
 *
 * @throws {InputError} For options or prompts that cannot be used.
 * @throws {ContextLengthError} When a prompt and its new tokens do not fit.
 */
export async function generate<P extends LmPrompt, S extends LmSequence>(
  lm: CausalLm<P, S>,
  prompts: readonly P[],
  options: GenerateOptions = {},
): Promise<GenerateResult> {
  const { streamer, ...rest } = options;
  let plan: Plan<P>;
  try {
    plan = planGeneration(lm, prompts, rest);
    rest.signal?.throwIfAborted();
    streamer?.begin?.({ stopStrings: plan.config.stopStrings });
    for (const { prompt, sequenceIndex } of plan.continuations) {
      streamer?.put(prompt.inputIds, sequenceIndex);
    }
    for await (const tokens of run(lm, plan, rest.signal)) {
      for (const { id, sequenceIndex } of tokens) {
        streamer?.put(Int32Array.of(id), sequenceIndex);
      }
    }
  } catch (error) {
    streamer?.end(error);
    throw error;
  }
  streamer?.end();
  return collect(plan);
}

/**
 * Continues prompts and yields the new tokens of each step; sequences that have
 * ended take part no more. Leaving the loop early releases everything.
 *
 * @throws As {@link generate}.
 */
export async function* generateTokens<
  P extends LmPrompt,
  S extends LmSequence,
>(
  lm: CausalLm<P, S>,
  prompts: readonly P[],
  options: GenerateTokensOptions = {},
): AsyncGenerator<GeneratedToken[], void, void> {
  yield* run(lm, planGeneration(lm, prompts, options), options.signal);
}

interface Plan<P extends LmPrompt> {
  readonly config: ResolvedGenerationConfig;
  readonly continuations: readonly Continuation<P>[];
  /** How the model itself may choose tokens, if it may. */
  readonly choice: ReturnType<typeof modelChoice>;
}

function planGeneration<P extends LmPrompt>(
  lm: Pick<CausalLm, "contextLength" | "vocabSize">,
  prompts: readonly P[],
  options: GenerateTokensOptions,
): Plan<P> {
  const {
    generationConfig,
    logitsProcessors,
    tokenizer,
    signal: _signal,
    onWarning = () => {},
    ...call
  } = options;
  const config = resolveGenerationConfig(call, generationConfig, onWarning);
  if (config.stopStrings.length > 0 && !tokenizer) {
    throw new InputError(
      "Cannot look for `stopStrings` without a tokenizer; pass `tokenizer`",
    );
  }
  if (prompts.length === 0 || prompts.some((p) => p.inputIds.length === 0)) {
    throw new InputError("Cannot generate from an empty prompt or none at all");
  }
  warnOfDefaultLength(config, onWarning);
  const processors = createLogitsProcessors(
    config,
    lm.vocabSize,
    logitsProcessors,
  );
  const continuations = prompts.flatMap((prompt, promptIndex) => {
    const seed = config.seed ?? randomSeed();
    const maxLength = resolveMaxLength(
      config,
      prompt.inputIds.length,
      lm.contextLength,
    );
    return Array.from(
      { length: config.numReturnSequences },
      (_, stream) =>
        new Continuation({
          prompt,
          sequenceIndex: promptIndex * config.numReturnSequences + stream,
          stream,
          seed,
          maxLength,
          config,
          processors,
          tokenizer,
        }),
    );
  });
  const choice = modelChoice(config, lm.vocabSize, logitsProcessors);
  return { config, continuations, choice };
}

async function* run<P extends LmPrompt, S extends LmSequence>(
  lm: CausalLm<P, S>,
  { continuations, choice }: Plan<P>,
  signal: AbortSignal | undefined,
): AsyncGenerator<GeneratedToken[], void, void> {
  signal?.throwIfAborted();
  const prefilled = await lm.prefill(continuations, { signal });
  const batch = new LiveBatch(
    lm,
    prefilled.map(({ sequence, logits }, i) => ({
      sequence,
      logits,
      continuation: continuations[i]!,
    })),
    choice,
  );
  try {
    while (true) {
      const tokens = await batch.nextTokens(signal);
      await batch.releaseEnded();
      yield tokens;
      if (batch.isEmpty) return;
      signal?.throwIfAborted();
    }
  } finally {
    await batch.releaseAll();
  }
}

function collect<P extends LmPrompt>(
  { config, continuations }: Plan<P>,
): GenerateResult {
  const perToken = <T>(field: (token: GeneratedToken) => T | undefined) =>
    continuations.map(({ tokens }) =>
      tokens.map(field).filter((value) => value !== undefined)
    );
  const last = continuations.map(({ tokens }) => tokens[tokens.length - 1]!);
  return {
    sequences: continuations.map((one) => one.sequence),
    finishReasons: last.map((token) => token.finishReason ?? "length"),
    stopStrings: last.map((token) => token.stopString),
    seeds: continuations.map((one) => one.seed),
    ...(config.outputLogits && { logits: perToken((t) => t.logits) }),
    ...(config.outputScores && { scores: perToken((t) => t.scores) }),
    ...(config.logprobs !== undefined &&
      { logprobs: perToken((t) => t.logprobs) }),
  };
}
