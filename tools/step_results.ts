// What a step of the gate came to: its summary line, read into two numbers.

/** How many things passed and failed. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
}

/** What prints the summary; a check prints none and counts as one. */
export type Runner = "check" | "deno" | "bun" | "node" | "cargo";

/** Where each runner says how many passed and how many failed. */
const SUMMARIES: Readonly<
  Record<Exclude<Runner, "check">, readonly [RegExp, RegExp]>
> = {
  deno: [
    /^(?:ok|FAILED) \| (\d+) passed/gm,
    /^(?:ok|FAILED) \| \d+ passed.*? \| (\d+) failed/gm,
  ],
  bun: [/^ *(\d+) pass$/gm, /^ *(\d+) fail$/gm],
  node: [/^(?:#|ℹ) pass (\d+)$/gm, /^(?:#|ℹ) fail (\d+)$/gm],
  cargo: [
    /^test result: \w+\. (\d+) passed/gm,
    /^test result: \w+\. \d+ passed; (\d+) failed/gm,
  ],
};

/**
 * Counts what a step came to. A runner that fails without saying why, or that
 * ran no test at all, has failed once.
 */
export function countResults(
  runner: Runner,
  output: string,
  success: boolean,
): Counts {
  if (runner === "check") {
    return { passed: success ? 1 : 0, failed: success ? 0 : 1 };
  }
  const [passes, failures] = SUMMARIES[runner];
  const text = withoutColours(output);
  const passed = sum(text, passes);
  const failed = sum(text, failures);
  const silent = failed === 0 && (!success || passed === 0);
  return { passed, failed: silent ? 1 : failed };
}

/** Adds counts up. */
export function addCounts(counts: readonly Counts[]): Counts {
  return {
    passed: counts.reduce((total, { passed }) => total + passed, 0),
    failed: counts.reduce((total, { failed }) => total + failed, 0),
  };
}

function sum(text: string, pattern: RegExp): number {
  return [...text.matchAll(pattern)].reduce((n, m) => n + Number(m[1]), 0);
}

function withoutColours(text: string): string {
  // deno-lint-ignore no-control-regex -- colours are control characters
  return text.replace(/\u001b\[[\d;]*m/g, "");
}
