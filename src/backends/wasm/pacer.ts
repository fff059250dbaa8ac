// Keeps the event loop alive during long work.
import type { Platform } from "../../platform/platform.ts";

/** Longest time the event loop is held, give or take a slice of work. */
const YIELD_AFTER_MS = 25;

/** Yields to the event loop when that is due; counts across short pieces of work. */
export class Pacer {
  private readonly platform: Platform;
  private yieldedAt = -Infinity;

  constructor(platform: Platform) {
    this.platform = platform;
  }

  /** Milliseconds from some fixed moment. */
  now(): number {
    return this.platform.now();
  }

  /** Lets other work run when this work has held the event loop for long. */
  async pause(): Promise<void> {
    if (this.platform.now() - this.yieldedAt < YIELD_AFTER_MS) return;
    await this.platform.yieldToEventLoop();
    this.yieldedAt = this.platform.now();
  }
}
