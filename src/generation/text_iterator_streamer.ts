// Text of a generation under way, for `for await`.
import { type Streamer, type StreamStart, TextStreamer } from "./streamer.ts";
import type { IdDecoder } from "./text_decoder.ts";

/** Options of {@link TextIteratorStreamer}. */
export interface TextIteratorStreamerOptions {
  /** Leave out the prompt. Default false. */
  readonly skipPrompt?: boolean | undefined;
  /** Leave out control tokens. Default false. */
  readonly skipSpecialTokens?: boolean | undefined;
}

/**
 * A {@link TextStreamer} to iterate over: for one generation and one loop. The
 * loop ends with the generation and throws what the generation rejects with,
 * after the text until then. Leaving the loop does not stop the generation;
 * abort its signal for that.
 *
 * @example
 * ```ts
 * import { TextIteratorStreamer } from "@g3n/core";
 *
 * const tokenizer = {
 *   decode: (ids: ArrayLike<number>) => String.fromCharCode(...Array.from(ids)),
 * };
 * const streamer = new TextIteratorStreamer(tokenizer, { skipPrompt: true });
 * streamer.put(Int32Array.of(72), 0); // a generation makes these calls
 * streamer.put(Int32Array.of(33), 0);
 * streamer.end();
 * for await (const text of streamer) console.log(text); // "!"
 * ```
 */
export class TextIteratorStreamer implements Streamer, AsyncIterable<string> {
  readonly #streamer: TextStreamer;
  #texts: string[] = [];
  #end: { error: unknown } | undefined;
  #wake: () => void = () => {};

  /** Makes a streamer of one sequence. */
  constructor(
    tokenizer: IdDecoder,
    options: TextIteratorStreamerOptions = {},
  ) {
    this.#streamer = new TextStreamer(tokenizer, {
      ...options,
      onText: (text) => {
        this.#texts.push(text);
        this.#wake();
      },
    });
  }

  /** Learns the stop strings. */
  begin(start: StreamStart): void {
    this.#streamer.begin(start);
  }

  /**
   * Takes the prompt, then new ids.
   *
   * @throws {InputError} When they belong to a second sequence.
   */
  put(ids: Int32Array, sequenceIndex: number): void {
    this.#streamer.put(ids, sequenceIndex);
  }

  /** Ends the iteration after what is left; with an error, by throwing it. */
  end(error?: unknown): void {
    this.#streamer.end();
    this.#end = { error };
    this.#wake();
  }

  /** Pieces of text as they come. */
  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, void> {
    while (true) {
      const texts = this.#texts;
      this.#texts = [];
      yield* texts;
      if (this.#texts.length > 0) continue;
      if (this.#end) {
        if (this.#end.error !== undefined) throw this.#end.error;
        return;
      }
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }
}
