// What llama.cpp logs, line by line: what was computed where, and its own times.

/** Tokens that were computed, and how long that took. */
export interface LlamaTime {
  readonly tokens: number;
  readonly seconds: number;
}

/** Times of prompts, and of single tokens. */
export interface LlamaTimes {
  readonly prompt: LlamaTime;
  readonly token: LlamaTime;
}

/** How long lines are waited for: they come by way of another thread. */
const PATIENCE_MS = 5000;
const OWN_TIMES =
  /^llama_perf_context_print: +(prompt eval|eval) time = +([\d.]+) ms \/ +(\d+) /;
const LAST_OF_TIMES = /^llama_perf_context_print: +graphs reused/;
const FIRST_SPLIT = /^## SPLIT [#]0: /;
const NODE_ON_CPU = /^node # *\d+ \( *(\w+)\): .*\[ *CPU *\]/;

/** Lines that were logged. */
export class LlamaLog {
  #lines: string[] = [];

  add(line: string): void {
    this.#lines.push(line);
  }

  /** The last line that matches. */
  found(pattern: RegExp): RegExpExecArray {
    const line = this.#lines.findLast((line) => pattern.test(line));
    if (line === undefined) {
      throw new Error(`llama.cpp logged no line like ${pattern}`);
    }
    return pattern.exec(line)!;
  }

  /** Operations of the last graph that are computed on the CPU: `2 GET_ROWS`. */
  operationsOnCpu(): string[] {
    const first = this.#lines.findLastIndex((line) => FIRST_SPLIT.test(line));
    if (first < 0) throw new Error("llama.cpp logged no graph");
    const counts = new Map<string, number>();
    for (const line of this.#lines.slice(first)) {
      const operation = NODE_ON_CPU.exec(line)?.[1];
      if (operation === undefined) continue;
      counts.set(operation, (counts.get(operation) ?? 0) + 1);
    }
    return [...counts].map(([operation, count]) => `${count} ${operation}`);
  }

  /** Begins anew, for the next {@link times}. */
  forgetTimes(): void {
    this.#lines = [];
  }

  /** Times that were logged since they were forgotten, once all are there. */
  async times(): Promise<LlamaTimes> {
    const end = performance.now() + PATIENCE_MS;
    while (!this.#lines.some((line) => LAST_OF_TIMES.test(line))) {
      if (performance.now() > end) {
        throw new Error(`llama.cpp logged no times in ${PATIENCE_MS / 1000} s`);
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const read = new Map<string, LlamaTime>();
    for (const line of this.#lines) {
      const [, what, milliseconds, tokens] = OWN_TIMES.exec(line) ?? [];
      if (what === undefined) continue;
      read.set(what, {
        tokens: Number(tokens),
        seconds: Number(milliseconds) / 1000,
      });
    }
    return { prompt: read.get("prompt eval")!, token: read.get("eval")! };
  }
}
