// Keeps long computations from blocking the event loop.

/** Options of everything here that may take longer than a moment. */
export interface PaceOptions {
  /** Lets pending timers, input and messages run. Default: a timer of 0 ms. */
  readonly yieldToEventLoop?: (() => Promise<void>) | undefined;
  /** Stops between slices of work; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const SLICE_MS = 16;

/**
 * A function to call between small steps of work: it yields whenever a slice
 * of time is used up, and throws when the signal is aborted.
 */
export function createPacer(options: PaceOptions): () => Promise<void> {
  const { yieldToEventLoop = yieldWithTimer, signal } = options;
  let started = performance.now();
  return async () => {
    if (performance.now() - started >= SLICE_MS) {
      await yieldToEventLoop();
      started = performance.now();
    }
    signal?.throwIfAborted();
  };
}

function yieldWithTimer(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
