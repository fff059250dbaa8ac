// How many tokens a model may choose before anyone hears of them: as many as it
// makes in a moment, so that a slow one still shows each as it comes.

/** Time that passes between tokens that come together, at most. */
const PACE_MS = 25;

/** Learns how fast tokens come. */
export class Pace {
  readonly #now: () => number;
  #msPerToken = Infinity;

  /** With the clock `now`, in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** How many tokens to ask for, at least 1 and no more than `most`. */
  count(most: number): number {
    const wanted = Math.floor(PACE_MS / this.#msPerToken);
    return Math.max(1, Math.min(most, wanted));
  }

  /** Calls `run`, which gives each sequence's new tokens. */
  async time(run: () => Promise<Int32Array[]>): Promise<Int32Array[]> {
    const started = this.#now();
    const tokens = await run();
    const count = tokens[0]!.length;
    if (count > 0) this.#msPerToken = (this.#now() - started) / count;
    return tokens;
  }
}
