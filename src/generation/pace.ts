// How many tokens a model may choose before anyone hears of them: as many as it
// makes in a moment, so that a slow one still shows each as it comes.

/** Time in which tokens that come together are made, at most. */
const PACE_MS = 25;
/** A run of one token that takes no longer is tried with two, once. */
const TRIAL_MS = 150;

/** Learns how fast tokens come. */
export class Pace {
  readonly #now: () => number;
  #next = 1;
  /** What the last token took that came alone and slowly. */
  #single = 0;
  #tried = false;

  /** With the clock `now`, in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** How many tokens to ask for, at least 1 and no more than `most`. */
  count(most: number): number {
    return Math.max(1, Math.min(most, this.#next));
  }

  /** Calls `run`, which gives each sequence's new tokens. */
  async time(run: () => Promise<Int32Array[]>): Promise<Int32Array[]> {
    const started = this.#now();
    const tokens = await run();
    const count = tokens[0]!.length;
    if (count > 0) this.#learn(count, this.#now() - started);
    return tokens;
  }

  #learn(count: number, ms: number): void {
    this.#next = Math.floor(PACE_MS * count / ms);
    if (ms <= PACE_MS) return;
    if (count === 1) {
      // Some browsers tell after 100 ms that a GPU is done, whatever it did.
      const isTrial = !this.#tried && ms <= TRIAL_MS;
      if (isTrial) this.#next = 2;
      this.#tried ||= isTrial;
      this.#single = ms;
      return;
    }
    const extra = Math.max(0, ms - this.#single) / (count - 1);
    if (extra < ms / count / 2) this.#next = 1 + Math.floor(PACE_MS / extra);
  }
}
