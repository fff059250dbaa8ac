// Divides long steps into submissions of some ten milliseconds, between which
// the event loop runs and a signal is looked at; and no driver takes a long
// prompt for a GPU that hangs.
import type { Platform } from "../../platform/platform.ts";
import type { RecordedDispatch } from "./recorder.ts";

/** Time a slice should take. */
const SLICE_MS = 25;
/** Budgets, in multiply-adds: what a processor, and the fastest GPU, does in that time. */
const FIRST_BUDGET = 1e8;
const MAX_BUDGET = 1e12;
/** Slices of which the GPU may have as many as are not known to be done. */
const MOST_AHEAD = 4;
/** Multiply-adds that a workgroup counts for where an operation does not say. */
const GROUP_COST = 256;

/** Consecutive dispatches that are submitted together. */
export interface Slice {
  readonly first: number;
  readonly end: number;
  readonly cost: number;
}

/** Cuts steps, learning how much work fits into a slice. */
export class Slices {
  private readonly platform: Platform;
  private budget = FIRST_BUDGET;
  private isKnown = false;
  /** When the event loop ran for the last time, as far as is known. */
  private paused = 0;

  constructor(platform: Platform) {
    this.platform = platform;
  }

  /** The next dispatches from `first` on; at least one where there are any. */
  next(dispatches: readonly RecordedDispatch[], first: number): Slice {
    let end = first;
    let cost = 0;
    while (end < dispatches.length && (end === first || cost < this.budget)) {
      cost += costOf(dispatches[end]!);
      end++;
    }
    return { first, end, cost };
  }

  /**
   * Whether the next one may be submitted while the GPU has work of `cost`: one
   * that rests while a slice is encoded loses a tenth of its time.
   */
  mayRunAhead(cost: number): boolean {
    return this.isKnown && cost <= MOST_AHEAD * this.budget;
  }

  /** Runs a slice, which must end when the GPU has done it. */
  async time(slice: Slice, run: () => Promise<void>): Promise<void> {
    const started = this.platform.now();
    await run();
    const factor = SLICE_MS / (this.platform.now() - started);
    // Little work that was fast tells nothing about more.
    if (factor > 1 && slice.cost < this.budget / 2) return;
    const budget = this.budget * Math.min(2, Math.max(0.25, factor));
    this.budget = Math.min(MAX_BUDGET, budget);
    this.isKnown = factor < 2 || this.budget === MAX_BUDGET;
  }

  /** Lets the event loop run. */
  async pause(): Promise<void> {
    await this.platform.yieldToEventLoop();
    this.paused = this.platform.now();
  }

  /**
   * Lets it run where that was long ago: short steps that need no other
   * waiting would keep it for themselves.
   */
  async pauseSometimes(): Promise<void> {
    if (this.platform.now() - this.paused > SLICE_MS) await this.pause();
  }
}

function costOf({ cost, workgroups: [x, y, z] }: RecordedDispatch): number {
  return cost ?? x * y * z * GROUP_COST;
}
