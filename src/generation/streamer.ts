// Receivers of ids while they are generated, and the one that turns them into
// text at safe boundaries.
import { InputError } from "../core/errors.ts";
import { StopStringWatcher } from "./stop_strings.ts";
import { type IdDecoder, IncrementalDecoder } from "./text_decoder.ts";

/** What a {@link Streamer} is told before the first ids. */
export interface StreamStart {
  /** Stop strings of the generation; text from one on should not be shown. */
  readonly stopStrings: readonly string[];
}

/**
 * Receives ids while they are generated, as Transformers' `BaseStreamer`: first
 * each sequence's prompt, then its new ids. An error thrown here ends the
 * generation.
 */
export interface Streamer {
  /** Called once, before the first `put()`; not at all when the options are bad. */
  begin?(start: StreamStart): void;
  /**
   * Takes ids, `[n]`: the first call of a sequence brings its prompt.
   *
   * @param sequenceIndex Prompt index * `numReturnSequences` + continuation.
   */
  put(ids: Int32Array, sequenceIndex: number): void;
  /** Called once, after everything; with the error when generation failed or was aborted. */
  end(error?: unknown): void;
}

/** Options of {@link TextStreamer}. */
export interface TextStreamerOptions {
  /** Receives pieces of text, never empty. */
  readonly onText: (text: string) => void;
  /** Leave out the prompt. Default false. */
  readonly skipPrompt?: boolean | undefined;
  /** Leave out control tokens. Default false. */
  readonly skipSpecialTokens?: boolean | undefined;
}

/**
 * Turns the ids of one sequence into text as soon as it is certain: never a part
 * of a character, never text that a stop string takes back. The pieces, joined,
 * are the decoding of all ids, cut at the stop string. Reusable after `end()`.
 *
 * @example
 * ```ts
 * import { TextStreamer } from "@g3n/core";
 *
 * const tokenizer = {
 *   decode: (ids: ArrayLike<number>) => String.fromCharCode(...Array.from(ids)),
 * };
 * let text = "";
 * const streamer = new TextStreamer(tokenizer, { onText: (piece) => text += piece });
 * streamer.put(Int32Array.of(72), 0); // the prompt
 * streamer.put(Int32Array.of(105), 0);
 * streamer.end();
 * console.log(text); // "Hi"
 * ```
 */
export class TextStreamer implements Streamer {
  readonly #tokenizer: IdDecoder;
  readonly #options: TextStreamerOptions;
  #decoder: IncrementalDecoder;
  #watcher = new StopStringWatcher([]);
  #sequenceIndex: number | undefined;

  /** Makes a streamer of one sequence. */
  constructor(tokenizer: IdDecoder, options: TextStreamerOptions) {
    this.#tokenizer = tokenizer;
    this.#options = options;
    this.#decoder = new IncrementalDecoder(tokenizer, options);
  }

  /** Learns the stop strings. */
  begin(start: StreamStart): void {
    this.#watcher = new StopStringWatcher(start.stopStrings);
  }

  /**
   * Takes the prompt, then new ids.
   *
   * @throws {InputError} When they belong to a second sequence.
   */
  put(ids: Int32Array, sequenceIndex: number): void {
    const isPrompt = this.#sequenceIndex === undefined;
    this.#sequenceIndex ??= sequenceIndex;
    if (sequenceIndex !== this.#sequenceIndex) {
      throw new InputError(
        `Cannot stream the text of several sequences: got ids of sequence ${sequenceIndex} after those of ${this.#sequenceIndex}; use a streamer of your own`,
      );
    }
    if (isPrompt && this.#options.skipPrompt) return;
    for (const id of ids) {
      const text = this.#decoder.push(id);
      // A stop string in the prompt stops nothing.
      this.#emit(isPrompt ? text : this.#watcher.push(text));
    }
  }

  /** Emits what was held back. */
  end(): void {
    this.#emit(this.#watcher.push(this.#decoder.flush()));
    this.#emit(this.#watcher.flush());
    this.#decoder = new IncrementalDecoder(this.#tokenizer, this.#options);
    this.#watcher = new StopStringWatcher([]);
    this.#sequenceIndex = undefined;
  }

  #emit(text: string): void {
    if (text !== "") this.#options.onText(text);
  }
}
