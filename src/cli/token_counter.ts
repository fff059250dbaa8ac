// The figures of an answer.
import type { Streamer, StreamStart } from "../../mod.ts";

/** Counts and times the tokens of one sequence, and passes them on. */
export class TokenCounter implements Streamer {
  promptTokens = 0;
  /** Tokens generated so far. */
  newTokens = 0;
  readonly #next: Streamer | undefined;
  #start = 0;
  #first = 0;
  #last = 0;

  /** Passes everything on to `next`. */
  constructor(next?: Streamer) {
    this.#next = next;
  }

  begin(start: StreamStart): void {
    this.#next?.begin?.(start);
  }

  put(ids: Int32Array, sequenceIndex: number): void {
    const now = performance.now();
    if (this.promptTokens === 0) {
      this.#start = this.#last = now;
      this.promptTokens = ids.length;
    } else {
      if (this.newTokens === 0) this.#first = now;
      this.#last = now;
      this.newTokens += ids.length;
    }
    this.#next?.put(ids, sequenceIndex);
  }

  end(error?: unknown): void {
    this.#next?.end(error);
  }

  /** The figures as `--json` prints them. */
  figures(): AnswerFigures {
    const decoding = (this.#last - this.#first) / 1000;
    return {
      promptTokens: this.promptTokens,
      newTokens: this.newTokens,
      seconds: (this.#last - this.#start) / 1000,
      tokensPerSecond: this.newTokens > 1 && decoding > 0
        ? (this.newTokens - 1) / decoding
        : null,
    };
  }
}

/** How long an answer is, and how long it took. */
export interface AnswerFigures {
  readonly promptTokens: number;
  readonly newTokens: number;
  /** From the start of the prefill to the last token. */
  readonly seconds: number;
  /** Of decoding alone; `null` with fewer than two new tokens. */
  readonly tokensPerSecond: number | null;
}
