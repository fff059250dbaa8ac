// A conversation on one cache: each turn computes only what is new in it.
import {
  type BatchFeature,
  type ContentPart,
  type FinishReason,
  type Gemma3nForConditionalGeneration,
  type Gemma3nProcessor,
  type GenerationConfig,
  InputError,
  type Message,
  type SequenceCache,
  TextStreamer,
} from "../../mod.ts";
import { type AnswerFigures, TokenCounter } from "./token_counter.ts";

/** How to answer. */
export interface AnswerOptions {
  readonly generation: GenerationConfig & { readonly maxNewTokens: number };
  /** Receives the answer in pieces. */
  readonly onText: (text: string) => void;
  /** Cuts the answer short. */
  readonly signal: AbortSignal;
}

/** An answer and its figures. */
export interface ChatAnswer extends AnswerFigures {
  readonly generatedText: string;
  /** `"interrupted"` when the signal cut it short. */
  readonly finishReason: FinishReason | "interrupted";
  /** Tokens of the prompt that were computed in an earlier turn. */
  readonly cachedTokens: number;
}

/** The system message, if any, and what happens aside. */
export interface ChatSessionOptions {
  readonly system?: string | undefined;
  /** Receives what the person should know. */
  readonly onNote: (note: string) => void;
}

/** Share of the context that must be left for an answer of the usual length. */
const ANSWER_SHARE = 1 / 8;

/** A conversation with a model. */
export class ChatSession implements Disposable {
  readonly #model: Gemma3nForConditionalGeneration;
  readonly #processor: Gemma3nProcessor;
  readonly #onNote: (note: string) => void;
  readonly #cache: SequenceCache;
  #turns: readonly Message[] = [];
  #system: string | undefined;

  /** Begins a conversation; the model needs room for one cache. */
  constructor(
    model: Gemma3nForConditionalGeneration,
    processor: Gemma3nProcessor,
    { system, onNote }: ChatSessionOptions,
  ) {
    this.#model = model;
    this.#processor = processor;
    this.#system = system;
    this.#onNote = onNote;
    this.#cache = model.createCache();
  }

  /** Begins again with another system message, or none. */
  setSystem(system: string | undefined): void {
    this.#system = system;
    this.reset();
  }

  /** Begins again: forgets all turns. */
  reset(): void {
    this.#turns = [];
    this.#cache.crop(0);
  }

  /**
   * Answers a message. After an error the conversation is what it was before
   * it; an interrupted answer counts as far as it came.
   *
   * @throws As `Gemma3nForConditionalGeneration.generate()`.
   */
  async answer(
    content: string | readonly ContentPart[],
    { generation, onText, signal }: AnswerOptions,
  ): Promise<ChatAnswer> {
    const question: Message = { role: "user", content };
    const inputs = await this.#fitPrompt(question, generation.maxNewTokens);
    const promptIds = inputs.inputIds.data;
    const cachedTokens = this.#keepPrefix(promptIds);
    let generatedText = "";
    const counter = new TokenCounter(
      new TextStreamer(this.#processor, {
        skipPrompt: true,
        skipSpecialTokens: true,
        onText: (text) => {
          generatedText += text;
          onText(text);
        },
      }),
    );
    let finishReason: ChatAnswer["finishReason"] = "interrupted";
    try {
      const room = this.#cache.maxLength - promptIds.length;
      const { finishReasons } = await this.#model.generate({
        ...inputs,
        ...generation,
        // Without any room the error should name what was asked for.
        maxNewTokens: room > 0
          ? Math.min(generation.maxNewTokens, room)
          : generation.maxNewTokens,
        tokenizer: this.#processor,
        pastKeyValues: this.#cache,
        streamer: counter,
        signal,
      });
      finishReason = finishReasons[0]!;
    } catch (error) {
      if (!signal.aborted || generatedText === "") this.#rewind(cachedTokens);
      if (!signal.aborted) throw error;
    }
    if (finishReason !== "interrupted" || generatedText !== "") {
      const answer: Message = { role: "assistant", content: generatedText };
      this.#turns = [...this.#turns, question, answer];
    }
    return { generatedText, finishReason, cachedTokens, ...counter.figures() };
  }

  /** Gives the cache back. */
  [Symbol.dispose](): void {
    this.#cache.dispose();
  }

  /** The prompt; of the question alone when it does not fit behind the turns before. */
  async #fitPrompt(
    question: Message,
    maxNewTokens: number,
  ): Promise<BatchFeature> {
    const { maxLength } = this.#cache;
    const inputs = await this.#prompt(question);
    const wanted = Math.min(maxNewTokens, Math.ceil(maxLength * ANSWER_SHARE));
    const length = inputs.inputIds.data.length + wanted;
    if (length <= maxLength || this.#turns.length === 0) return inputs;
    this.#onNote(
      `The context of ${maxLength} tokens is full: the conversation starts over, without what was said before`,
    );
    this.reset();
    return await this.#prompt(question);
  }

  #prompt(question: Message): Promise<BatchFeature> {
    const system: Message[] = this.#system === undefined
      ? []
      : [{ role: "system", content: this.#system }];
    return this.#processor.applyChatTemplate(
      [...system, ...this.#turns, question],
      { addGenerationPrompt: true },
    );
  }

  /**
   * Forgets what the cache holds beyond the part that the prompt begins with:
   * an answer that is read again may come out as other tokens.
   */
  #keepPrefix(promptIds: Int32Array): number {
    const { ids } = this.#cache;
    const most = Math.min(ids.length, promptIds.length - 1);
    let common = 0;
    while (common < most && promptIds[common] === ids[common]) common++;
    this.#rewind(common);
    return this.#cache.length;
  }

  #rewind(length: number): void {
    try {
      this.#cache.crop(length);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.#onNote(
        "The conversation no longer continues what was computed before: it is read again from its start",
      );
      this.#cache.crop(0);
    }
  }
}
