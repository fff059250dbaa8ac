// A standard stream of the command line: texts in their order, and what to do
// when nobody reads them any more.

const CLEAR_LINE = "\r\x1b[K";

/** Writes texts one after another. */
export class Output {
  readonly #write: (text: string) => Promise<void>;
  readonly #onFailure: (error: unknown) => void;
  #writing: Promise<void> = Promise.resolve();
  #failed = false;
  #status = false;

  /**
   * Wraps a stream.
   *
   * @param onFailure Called once, when a text could not be written; later texts
   * are dropped.
   */
  constructor(
    write: (text: string) => Promise<void>,
    onFailure: (error: unknown) => void,
  ) {
    this.#write = write;
    this.#onFailure = onFailure;
  }

  /** Queues a text, in place of the status. */
  write(text: string): void {
    if (text === "") return;
    this.clearStatus();
    this.#queue(text);
  }

  /** Shows a line, for a terminal, until something else is shown. */
  showStatus(line: string): void {
    this.#status = true;
    this.#queue(CLEAR_LINE + line);
  }

  /** Takes the status away. */
  clearStatus(): void {
    if (this.#status) this.#queue(CLEAR_LINE);
    this.#status = false;
  }

  /** Waits until all texts are written, or dropped. */
  flush(): Promise<void> {
    return this.#writing;
  }

  #queue(text: string): void {
    this.#writing = this.#writing.then(() => this.#writeOne(text));
  }

  async #writeOne(text: string): Promise<void> {
    if (this.#failed) return;
    try {
      await this.#write(text);
    } catch (error) {
      this.#failed = true;
      this.#onFailure(error);
    }
  }
}

// What runtimes call it when the reader of a pipe has gone.
const CLOSED_PIPE_CODES = ["EPIPE", "ERR_STREAM_DESTROYED", "EOF"];

/** Whether a write failed because the reader of a pipe has gone. */
export function isClosedPipe(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown };
  return CLOSED_PIPE_CODES.includes(String(code));
}
