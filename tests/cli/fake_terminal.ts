// A terminal whose person follows a script, for commands run in this process.
import type { PromptResult, Terminal } from "../../src/platform/terminal.ts";

/** What the person does at a prompt, or the program does to the terminal. */
export interface FakeTerminalOptions {
  readonly args: readonly string[];
  /** Standard input; where it is missing a person is at the terminal. */
  readonly input?: string;
  /** What the person does at each prompt; Ctrl-D after the last. */
  readonly prompts?: readonly (string | PromptResult)[];
  /** Sees each piece of standard output as it comes. */
  readonly onWrite?: (text: string, terminal: FakeTerminal) => void;
}

/** Pressed at a prompt. */
export const CTRL_C: PromptResult = { kind: "interrupt" };

/** Standard streams in memory. */
export class FakeTerminal implements Terminal {
  readonly args: readonly string[];
  stdout = "";
  stderr = "";
  /** The code of `exit()`, if it was called. */
  exitCode: number | undefined;
  readonly questions: string[] = [];
  readonly #options: FakeTerminalOptions;
  readonly #prompts: (string | PromptResult)[];
  #handlers: (() => void)[] = [];

  constructor(options: FakeTerminalOptions) {
    this.args = options.args;
    this.#options = options;
    this.#prompts = [...options.prompts ?? []];
  }

  /** Ctrl-C outside a prompt. */
  interrupt(): void {
    for (const handler of this.#handlers) handler();
  }

  readStdin(): Promise<string> {
    const { input } = this.#options;
    return input === undefined ? new Promise(() => {}) : Promise.resolve(input);
  }

  async *lines(): AsyncGenerator<string> {
    yield* (await this.readStdin()).replace(/\n$/, "").split("\n");
  }

  prompt(question: string): Promise<PromptResult> {
    this.questions.push(question);
    const next = this.#prompts.shift() ?? { kind: "end" };
    return Promise.resolve(
      typeof next === "string" ? { kind: "line", text: next } : next,
    );
  }

  write(text: string): Promise<void> {
    this.stdout += text;
    this.#options.onWrite?.(text, this);
    return Promise.resolve();
  }

  writeError(text: string): Promise<void> {
    this.stderr += text;
    return Promise.resolve();
  }

  isTerminal(): boolean {
    return this.#options.input === undefined;
  }

  exit(code: number): never {
    this.exitCode = code;
    throw new Error(`exit ${code}`);
  }

  onInterrupt(handler: () => void): () => void {
    this.#handlers.push(handler);
    return () => {
      this.#handlers = this.#handlers.filter((one) => one !== handler);
    };
  }
}
