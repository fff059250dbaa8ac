// The command line in a process of its own, with the tiny checkpoint.
import process from "node:process";
import { fileURLToPath } from "node:url";

import { cases, type GoldenCase, referencePath } from "../golden.ts";
import {
  runScript,
  type ScriptOptions,
  type ScriptResult,
} from "../platform/runtime.ts";

const G3N = fileURLToPath(new URL("../../src/cli/g3n.ts", import.meta.url));

/** The checkpoint. */
export const TINY = referencePath("tiny");

/** Options of tests that start processes; Bun gives others 5 seconds. */
export const SLOW = { timeout: 60_000 };

/** The system message of the expected conversations. */
export const SYSTEM = "당신은 도움이 되는 어시스턴트입니다.";

/** Runs `g3n` with these arguments to its end. */
export function g3n(
  args: readonly string[],
  input = "",
  { onStdout, ...options }: ScriptOptions & {
    readonly onStdout?: Parameters<typeof runScript>[3];
  } = {},
): Promise<ScriptResult> {
  return runScript(G3N, args, input, onStdout, options);
}

/** What Transformers answers. */
export async function expectedCase(
  name: string,
): Promise<Pick<GoldenCase, "newTokens"> & { readonly text: string }> {
  const found = (await cases()).find((one) => one.name === name)!;
  return { newTokens: found.newTokens, text: found.generated[0]! };
}

/**
 * Sends Ctrl-C's signal: by the process's number, as Deno tells the exit code
 * of a child it has signalled itself as none.
 */
export function interrupt(child: { readonly pid?: number | undefined }): void {
  process.kill(child.pid!, "SIGINT");
}
