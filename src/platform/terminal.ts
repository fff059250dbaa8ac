// What the command line needs from a runtime: the standard streams, the
// arguments, the way out. Not part of Platform: a browser has none of it.

/** What a person did at a prompt: wrote a line, pressed Ctrl-C, or pressed Ctrl-D. */
export type PromptResult =
  | { readonly kind: "line"; readonly text: string }
  | { readonly kind: "interrupt" }
  | { readonly kind: "end" };

/** Standard streams and process control. */
export interface Terminal {
  /** Arguments after the program's own. */
  readonly args: readonly string[];
  /** Reads standard input to its end as UTF-8. */
  readStdin(): Promise<string>;
  /** Lines of standard input without their ends, as they come. */
  lines(): AsyncGenerator<string>;
  /**
   * Asks the person at the terminal for a line, with editing keys and the lines
   * before at the arrow keys. The question goes to standard error.
   */
  prompt(question: string): Promise<PromptResult>;
  /** Writes to standard output; resolves when it has been taken. */
  write(text: string): Promise<void>;
  /** Writes to standard error. */
  writeError(text: string): Promise<void>;
  /** Whether a person is at that end, rather than a file or a pipe. */
  isTerminal(stream: "stdin" | "stdout" | "stderr"): boolean;
  /** Ends the process. */
  exit(code: number): never;
  /** Calls `handler` on Ctrl-C instead of ending the process; returns how to stop that. */
  onInterrupt(handler: () => void): () => void;
}
