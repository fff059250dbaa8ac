// Where tokens are sampled faster: a model that samples itself spares the logits
// their way to the host, but what it cannot decide costs it a run for nothing.

/** Tokens of the model before the host samples one for comparison. */
const TRIAL_TOKENS = 16;
/** Runs beside a known time of the host before it may take over. */
const RUNS = 4;
/** How much of what was learnt outlasts a run. */
const MEMORY = 7 / 8;
/** A run counts as so many times slower than the host at most: it may have waited for something else. */
const SLOWEST = 2;
/** How much longer than the host the model may take, since times vary. */
const SLACK = 1.1;

/**
 * Learns from times whether the host is to sample: once for comparison, and for
 * good when the model was slower, runs that gave nothing included.
 */
export class SamplingPlace {
  #tokens = 0;
  #runs = 0;
  #ms = 0;
  /** The least that a token of the host's took. */
  #host = Infinity;
  #isSettled = false;

  /** Whether the host is to sample the next token. */
  get isHost(): boolean {
    if (this.#isSettled) return true;
    return this.#host === Infinity && this.#tokens >= TRIAL_TOKENS;
  }

  /** The model was asked for `asked` tokens of each sequence, and gave `given`. */
  modelTook(asked: number, given: number, ms: number): void {
    if (this.#host === Infinity) {
      this.#tokens += given;
      return;
    }
    this.#runs++;
    this.#tokens = this.#tokens * MEMORY + given;
    this.#ms = this.#ms * MEMORY + Math.min(ms, asked * this.#host * SLOWEST);
    this.#settle();
  }

  /** The host sampled one token of each sequence, from logits that it waited for. */
  hostTook(ms: number): void {
    if (this.#host === Infinity) this.#tokens = 0;
    this.#host = Math.min(this.#host, ms);
    this.#settle();
  }

  /** Fewer sequences go on, which takes other times. */
  forget(): void {
    this.#tokens = this.#runs = this.#ms = 0;
    this.#host = Infinity;
  }

  #settle(): void {
    if (this.#runs < RUNS) return;
    this.#isSettled ||= this.#ms > this.#host * this.#tokens * SLACK;
  }
}
