// Calls on one model, one after another.

/** Runs calls in the order they came, never two at once. */
export class CallQueue {
  #last: Promise<unknown> = Promise.resolve();
  #closed: (() => Error) | undefined;

  /**
   * Runs `call` when those before it have ended, whatever became of them. A
   * call whose signal aborts while it waits rejects at once and never runs;
   * one that runs watches the signal itself.
   */
  run<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const abort = () => reject(signal?.reason);
      signal?.addEventListener("abort", abort, { once: true });
      const turn = async () => {
        signal?.removeEventListener("abort", abort);
        if (signal?.aborted) return reject(signal.reason);
        if (this.#closed) return reject(this.#closed());
        try {
          resolve(await call());
        } catch (error) {
          reject(error);
        }
      };
      this.#last = this.#last.then(turn);
    });
  }

  /** Lets the running call end; those that wait, and all to come, reject with `reason()`. */
  close(reason: () => Error): void {
    this.#closed = reason;
  }

  /** Resolves when everything queued so far has ended. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
