// What the library needs from a runtime. Everything below level 4 receives a
// Platform instead of naming a runtime's globals.

/** A file opened for reads at any offset. */
export interface PlatformFile {
  /** Length in bytes. */
  readonly size: number;
  /**
   * Reads up to `length` bytes at `offset` into `into` (or a new array) and
   * returns the part that was filled; shorter only at the end of the file.
   */
  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
  /** Closes the file. */
  close(): Promise<void>;
}

/** A file being written, from its start to its end. It is at its path once it is finished. */
export interface PlatformFileWriter {
  /** Appends bytes; they may be changed once the promise resolves. */
  write(bytes: Uint8Array): Promise<void>;
  /** Closes the file and puts it at its path, where it replaces another one. */
  finish(): Promise<void>;
  /** Closes and deletes what has been written. */
  discard(): Promise<void>;
}

/** A thread that runs a script of its own. */
export interface PlatformWorker {
  /** Ends the thread, whatever it does, and tells nobody. */
  terminate(): Promise<void>;
}

/** What a {@link PlatformWorker} reports. */
export interface WorkerEvents {
  /** Called with each value the script posts. */
  onMessage(message: unknown): void;
  /** Called when the script cannot start, throws, or has ended. */
  onEnd(reason: string): void;
}

/** What a runtime (Deno, Bun, Node, a browser) offers. */
export interface Platform {
  /** The runtime's name. */
  readonly name: "deno" | "bun" | "node" | "browser";
  /** Opens a local file. Rejects with the runtime's own error when there is none. */
  openFile(path: string): Promise<PlatformFile>;
  /** Starts a local file; absent where there are none to write. */
  createFile?(path: string): Promise<PlatformFileWriter>;
  /** What is at a local path. */
  stat(path: string): Promise<"file" | "directory" | "missing">;
  /** The runtime's `fetch`. */
  readonly fetch: typeof globalThis.fetch;
  /** Lets pending timers, input and messages run, then continues; costs well under a millisecond. */
  yieldToEventLoop(): Promise<void>;
  /** Milliseconds from some fixed moment. */
  now(): number;
  /** Logical processors available to the process. */
  readonly availableParallelism: number;
  /**
   * Starts a thread that does not keep the process alive; absent where there
   * are none.
   *
   * @param source JavaScript of a function `(data, post) => void`, which the
   * thread calls with a copy of `data` and a way to send messages
   */
  startWorker?(
    source: string,
    data: unknown,
    events: WorkerEvents,
  ): PlatformWorker;
  /** The GPUs of the machine; absent where the runtime offers none. */
  gpu?(): Promise<GPU | undefined>;
  /** An environment variable, or `undefined` when unset, unreadable or unknown to the runtime. */
  env(name: string): string | undefined;
}
