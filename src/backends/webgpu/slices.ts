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
/** Ends of steps that nobody waits for at most, and their time: an abort waits for them. */
const MOST_QUEUED = 16;
const QUEUED_MS = 200;
/** Slices of a long step that nobody waits for, by their cost. */
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
  /** When the event loop ran for the last time, as far as is known. */
  private paused = 0;
  /** Of the slices that nobody has waited for: how many, and their cost. */
  private count = 0;
  private cost = 0;
  /** When the first and the last of them were submitted. */
  private first = 0;
  private last = 0;
  /** Milliseconds of each of those that were waited for last. */
  private sliceMs = SLICE_MS;

  constructor(platform: Platform) {
    this.platform = platform;
  }

  /** Whether the GPU may still have work. */
  get isBusy(): boolean {
    return this.count > 0;
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
   * Whether nobody need wait for a slice: the end of a step, or some of a long
   * one, since a GPU that rests while a slice is encoded loses a tenth of its time.
   */
  mayRunAhead({ cost }: Slice, endsStep: boolean): boolean {
    const { count, sliceMs } = this;
    if (!endsStep) return this.cost + cost <= MOST_AHEAD * this.budget;
    return count < MOST_QUEUED && (count + 1) * sliceMs <= QUEUED_MS;
  }

  /** A slice is about to be submitted. */
  submits({ cost }: Slice): void {
    this.last = this.platform.now();
    if (this.count === 0) this.first = this.last;
    this.count++;
    this.cost += cost;
  }

  /** All that was submitted is done. */
  ended(): void {
    const now = this.platform.now();
    const wanted = SLICE_MS * this.count;
    const waited = now - this.last;
    // The host may have spent some of it otherwise: it tells that the GPU was fast.
    const spent = now - this.first;
    this.sliceMs = Math.min(SLICE_MS, spent / this.count);
    if (waited > wanted) this.scaleBudget(wanted / waited);
    // Little work that was fast tells nothing about more.
    else if (spent < wanted && this.cost >= this.count * this.budget / 2) {
      this.scaleBudget(wanted / spent);
    }
    this.count = this.cost = 0;
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

  private scaleBudget(by: number): void {
    const budget = this.budget * Math.min(2, Math.max(0.25, by));
    this.budget = Math.min(MAX_BUDGET, budget);
  }
}

function costOf({ cost, workgroups: [x, y, z] }: RecordedDispatch): number {
  return cost ?? x * y * z * GROUP_COST;
}
