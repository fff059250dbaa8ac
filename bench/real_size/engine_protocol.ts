// Engines run in processes of their own, so that each has its own peak of
// memory, and take requests by turns, so that all meet the same machine.
// Requests and answers are lines of JSON on standard input and output.
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";

/** A language model under measurement. Times are in seconds. */
export interface Engine {
  /** Forgets everything, takes a prompt and chooses the first token. */
  prefill(tokens: number): Promise<number>;
  /** Goes on by that many tokens. */
  decode(tokens: number): Promise<number>;
}

/** Functions of an engine by name; arguments and results are numbers. */
export type EngineHandlers = Readonly<
  Record<string, (count: number) => Promise<number> | number>
>;

/** Memory of the own process, in bytes; 0 where the system does not tell. */
export const memoryHandlers: EngineHandlers = {
  peakBytes: () => statusBytes("VmHWM"),
  anonymousBytes: () => statusBytes("RssAnon"),
};

// Pages that several threads share count once; a mapped file's pages count.
function statusBytes(field: string): number {
  if (process.platform !== "linux") return 0;
  const status = readFileSync("/proc/self/status", "utf8");
  const found = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status);
  return 1024 * Number(found?.[1] ?? 0);
}

/** Answers requests until standard input ends. */
export async function serve(handlers: EngineHandlers): Promise<void> {
  process.stdout.write('{"ready":true}\n');
  for await (const line of createInterface({ input: process.stdin })) {
    const { name, count } = JSON.parse(line) as { name: string; count: number };
    const value = await handlers[name]!(count);
    process.stdout.write(`${JSON.stringify({ value })}\n`);
  }
}

/** An engine's process, as its driver sees it. */
export class EngineProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout! })
      [Symbol.asyncIterator]();
  }

  /** Starts a command line and waits until the engine is ready. */
  static async start(command: readonly string[]): Promise<EngineProcess> {
    const [program, ...args] = command;
    const child = spawn(program!, args, {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const engine = new EngineProcess(child);
    await engine.#answer();
    return engine;
  }

  /** Calls a function of the engine. */
  async call(name: string, count = 0): Promise<number> {
    this.#child.stdin!.write(`${JSON.stringify({ name, count })}\n`);
    return (await this.#answer()).value!;
  }

  /** Ends the process. */
  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.stdin!.end();
    await ended;
  }

  async #answer(): Promise<{ value?: number }> {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) throw new Error("An engine ended before it answered");
      // Libraries may print to standard output, too.
      if (value.startsWith("{")) return JSON.parse(value);
    }
  }
}

/** Ids of a prompt, all over the vocabulary, the same each time. */
export function promptIds(tokens: number): number[] {
  return Array.from({ length: tokens }, (_, i) => (i * 7919 + 13) % 262_144);
}

/** Seconds that something took. */
export async function timed(run: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await run();
  return (performance.now() - started) / 1000;
}
