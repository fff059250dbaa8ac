// What a command receives, and how it ends when a person or a pipe ends it.
import type { Terminal } from "../platform/terminal.ts";
import type { Output } from "./output.ts";

/** What every command receives. */
export interface CommandContext {
  readonly terminal: Terminal;
  /** Standard output. */
  readonly output: Output;
  /** Standard error. */
  readonly errors: Output;
  /** Aborts on Ctrl-C, and when nobody reads standard output any more. */
  readonly signal: AbortSignal;
  /** Ends the command as Ctrl-C does. */
  interrupt(): void;
  /** Calls `handler` on Ctrl-C instead; returns how to stop that. */
  takeInterrupts(handler: () => void): () => void;
}

/** Arguments that parse and yet cannot be used. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Waits for `promise`; rejects with the signal's reason when that comes first. */
export function untilAborted<T>(
  signal: AbortSignal,
  promise: Promise<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() =>
      signal.removeEventListener("abort", abort)
    );
  });
}
