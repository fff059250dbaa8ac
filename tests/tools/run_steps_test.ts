// The tool runs in Deno alone; so does its test.
import assert from "node:assert/strict";
import { test } from "node:test";

import { runSteps, type Step } from "../../tools/run_steps.ts";

/** A check that runs a piece of JavaScript. */
function check(name: string, code: string, resource?: string): Step {
  const command = [Deno.execPath(), "eval", code];
  return { name, runner: "check", command, ...(resource && { resource }) };
}

async function printedBy(
  steps: readonly Step[],
): Promise<{ lines: string[]; passed: number; failed: number }> {
  const lines: string[] = [];
  const { log } = console;
  console.log = (text: string) => lines.push(text);
  try {
    return { ...await runSteps(steps), lines };
  } finally {
    console.log = log;
  }
}

test("runSteps() adds up what steps came to, and shows what failed", async () => {
  const { lines, passed, failed } = await printedBy([
    check("good", "console.log('unseen')"),
    check("bad", "console.error('the reason'); Deno.exit(3)"),
    { name: "gone", runner: "deno", command: ["no-such-program-here"] },
  ]);
  assert.deepEqual({ passed, failed }, { passed: 1, failed: 2 });
  const printed = lines.join("\n");
  assert.match(printed, /^ok +good/m);
  assert.match(printed, /^FAILED +bad/m);
  assert.match(printed, /the reason/);
  assert.match(printed, /"no-such-program-here" is not installed/);
  assert.doesNotMatch(printed, /^unseen/m);
});

test("runSteps() keeps steps of one resource apart, and passes by what waits", async () => {
  const pause = "await new Promise((done) => setTimeout(done, 300))";
  const { lines } = await printedBy([
    check("first", pause, "cargo"),
    check("second", pause, "cargo"),
    check("other", "0"),
  ]);
  const order = lines.map((line) => line.split(/ +/)[1]);
  assert.deepEqual(order, ["other", "first", "second"]);
});
