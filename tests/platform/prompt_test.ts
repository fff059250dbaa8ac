// Terminal.prompt() at a pseudo-terminal, which util-linux's script(1) makes.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import type { PromptResult } from "../../src/platform/terminal.ts";
import { runtimeName, scriptCommand } from "./runtime.ts";

const SCRIPT = fileURLToPath(new URL("./terminal_script.ts", import.meta.url));
const UP = "\x1b[A";
const BACKSPACE = "\x7f";
const CTRL_C = "\x03";
const CTRL_D = "\x04";
const TIMEOUT_MS = 20_000;
const SLOW = { timeout: 2 * TIMEOUT_MS };

/** Types the next keys each time that the program asks. */
function typeAtPrompts(keys: readonly string[]): Promise<string> {
  const command = scriptCommand(SCRIPT, ["prompt"])
    .map((word) => `'${word}'`).join(" ");
  const child = spawn("script", ["-qefc", command, "/dev/null"], {
    env: { ...process.env, TERM: "xterm", NO_COLOR: "1" },
  });
  const waiting = [...keys];
  let output = "";
  let typedAt = -1;
  child.stdout.on("data", (data) => {
    output += data;
    // A line that is drawn again shows the question again: only one that
    // follows an answer is new.
    const answeredAt = output.lastIndexOf(">");
    const isAsked = output.includes("? ", answeredAt + 1);
    if (!isAsked || answeredAt < typedAt || waiting.length === 0) return;
    typedAt = output.length;
    child.stdin.write(waiting.shift()!);
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", () => {
      clearTimeout(timer);
      resolve(output);
    });
  });
}

test(
  "Terminal.prompt() edits, remembers, and tells Ctrl-C and Ctrl-D from lines",
  SLOW,
  async (context) => {
    if (!await hasScript()) return context.skip("there is no script(1)");
    const output = await typeAtPrompts([
      `hellp${BACKSPACE}o\r`,
      `${UP} again\r`,
      `dropped${CTRL_C}`,
      "one\rtwo\rthr",
      "ee\r",
      CTRL_D,
    ]);
    const results = [...output.matchAll(/<(\{.*?\})>/g)].map(([, json]) =>
      JSON.parse(json!) as PromptResult
    );
    const line = (text: string): PromptResult => ({ kind: "line", text });
    assert.deepEqual(results, [
      line("hello"),
      line("hello again"),
      { kind: "interrupt" },
      line("one"),
      line("two"),
      line("three"),
      { kind: "end" },
    ], `${runtimeName()}: ${JSON.stringify(output)}`);
  },
);

/** Whether this is a system with util-linux's script, which knows -e and -f. */
function hasScript(): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn("script", ["--version"]);
    child.on("error", () => resolve(false));
    child.on("close", (code) => resolve(code === 0));
  });
}
