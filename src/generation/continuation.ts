// One sequence while it grows: its ids, the choice of the next one, and the
// rules that end it.
import { argmax, requireChosen, sampleToken } from "./choice.ts";
import type { NoiseKey } from "../core/random.ts";
import type { LmPrompt } from "./causal_lm.ts";
import type { ResolvedGenerationConfig } from "./generation_config.ts";
import type { LogitsProcessor } from "./logits_processor.ts";
import { type StepLogprobs, stepLogprobs } from "./logprobs.ts";
import { StopStringWatcher } from "./stop_strings.ts";
import { type IdDecoder, IncrementalDecoder } from "./text_decoder.ts";

/** Why a sequence ended: an end-of-sequence token or stop string, or the length that was allowed. */
export type FinishReason = "stop" | "length";

/** A new token of one sequence. */
export interface GeneratedToken {
  /** Which sequence: prompt index * `numReturnSequences` + continuation. */
  readonly sequenceIndex: number;
  /** Token id. */
  readonly id: number;
  /** Set on the last token of the sequence. */
  readonly finishReason: FinishReason | undefined;
  /** The stop string that ended the sequence, if one did. */
  readonly stopString: string | undefined;
  /** The model's logits, `[V]`, with `outputLogits`. */
  readonly logits: Float32Array | undefined;
  /** Logits after all processors, `[V]`, with `outputScores`. */
  readonly scores: Float32Array | undefined;
  /** With `logprobs`. */
  readonly logprobs: StepLogprobs | undefined;
}

/** What a {@link Continuation} is made of. */
export interface ContinuationOptions<P extends LmPrompt> {
  /** What is continued. */
  readonly prompt: P;
  /** Index in the result. */
  readonly sequenceIndex: number;
  /** Which of several continuations of the prompt. */
  readonly stream: number;
  /** Seed of its samples. */
  readonly seed: number;
  /** Most ids, prompt included. */
  readonly maxLength: number;
  /** How to choose and when to end. */
  readonly config: ResolvedGenerationConfig;
  /** Run on every row of logits, in order. */
  readonly processors: readonly LogitsProcessor[];
  /** Needed where `config` has stop strings. */
  readonly tokenizer: IdDecoder | undefined;
}

/** A sequence that grows by one token at a time. */
export class Continuation<P extends LmPrompt = LmPrompt> {
  /** What is continued. */
  readonly prompt: P;
  /** Index in the result. */
  readonly sequenceIndex: number;
  /** Seed of its samples. */
  readonly seed: number;
  /** Most ids, prompt included. */
  readonly maxLength: number;
  /** Every new token so far. */
  readonly tokens: GeneratedToken[] = [];
  readonly #options: ContinuationOptions<P>;
  readonly #ids: Int32Array;
  readonly #decoder: IncrementalDecoder | undefined;
  readonly #watcher: StopStringWatcher;

  /** Starts with the prompt's ids. */
  constructor(options: ContinuationOptions<P>) {
    this.#options = options;
    this.prompt = options.prompt;
    this.sequenceIndex = options.sequenceIndex;
    this.seed = options.seed;
    this.maxLength = options.maxLength;
    this.#ids = new Int32Array(options.maxLength);
    this.#ids.set(options.prompt.inputIds);
    const { stopStrings } = options.config;
    this.#watcher = new StopStringWatcher(stopStrings);
    this.#decoder = options.tokenizer && stopStrings.length > 0
      ? new IncrementalDecoder(options.tokenizer)
      : undefined;
  }

  /** Prompt and new ids, `[T]`; a copy. */
  get sequence(): Int32Array {
    return this.#ids.slice(0, this.#length);
  }

  get #length(): number {
    return this.prompt.inputIds.length + this.tokens.length;
  }

  /** How many tokens there may still be. */
  get remaining(): number {
    return this.maxLength - this.#length;
  }

  /** Noise of its samples, but for the step. */
  get noise(): Omit<NoiseKey, "step"> {
    return { seed: this.seed, stream: this.#options.stream };
  }

  /**
   * Takes the next token as the model chose it.
   *
   * @throws {DeviceError} When it could choose none.
   */
  accept(id: number): GeneratedToken {
    requireChosen(id);
    return this.#append(id, {});
  }

  /** Chooses the next token from the model's logits `[V]`, which it overwrites. */
  advance(logits: Float32Array): GeneratedToken {
    const { config, processors, stream } = this.#options;
    const { doSample, outputLogits, outputScores, logprobs } = config;
    const raw = outputLogits || logprobs !== undefined
      ? logits.slice()
      : undefined;
    const context = {
      inputIds: this.#ids.subarray(0, this.#length),
      promptLength: this.prompt.inputIds.length,
    };
    for (const process of processors) process(logits, context);

    const id = doSample
      ? sampleToken(logits, { seed: this.seed, step: this.#length, stream })
      : argmax(logits);
    return this.#append(id, {
      logits: outputLogits ? raw : undefined,
      scores: outputScores ? logits.slice() : undefined,
      logprobs: raw && logprobs !== undefined
        ? stepLogprobs(raw, id, logprobs)
        : undefined,
    });
  }

  #append(
    id: number,
    { logits, scores, logprobs }: Partial<
      Pick<GeneratedToken, "logits" | "scores" | "logprobs">
    >,
  ): GeneratedToken {
    this.#ids[this.#length] = id;
    const stopString = this.#watch(id);
    const token: GeneratedToken = {
      sequenceIndex: this.sequenceIndex,
      id,
      finishReason: this.#finishReason(id, stopString),
      stopString,
      logits,
      scores,
      logprobs,
    };
    this.tokens.push(token);
    return token;
  }

  #watch(id: number): string | undefined {
    if (!this.#decoder) return undefined;
    this.#watcher.push(this.#decoder.push(id));
    return this.#watcher.peek(this.#decoder.pending());
  }

  #finishReason(
    id: number,
    stopString: string | undefined,
  ): FinishReason | undefined {
    if (stopString !== undefined) return "stop";
    if (this.#options.config.eosTokenId.includes(id)) return "stop";
    return this.#length + 1 >= this.maxLength ? "length" : undefined;
  }
}
