import assert from "node:assert/strict";
import { test } from "node:test";

import {
  addCounts,
  countResults,
  type Runner,
} from "../../tools/step_results.ts";

const PASSING: readonly (readonly [Runner, string])[] = [
  [
    "deno",
    "\u001b[32mok\u001b[0m | 41 passed (3 steps) | 0 failed | 1 ignored (5s)\n",
  ],
  [
    "bun",
    "\n 41 pass\n 2 skip\n 0 fail\nRan 43 tests across 9 files. [1.00s]\n",
  ],
  ["node", "ℹ tests 42\nℹ pass 41\nℹ fail 0\nℹ skipped 1\n"],
  ["node", "# tests 42\n# pass 41\n# fail 0\n# skipped 1\n"],
  [
    "cargo",
    "test result: ok. 40 passed; 0 failed; 0 ignored; finished in 0.1s\n" +
    "test result: ok. 1 passed; 0 failed; 0 ignored; finished in 0.1s\n",
  ],
];

test("countResults() reads the summary of each runner", () => {
  for (const [runner, output] of PASSING) {
    const counts = countResults(runner, output, true);
    assert.deepEqual(counts, { passed: 41, failed: 0 }, runner);
  }
});

test("countResults() reads failures", () => {
  const outputs: readonly (readonly [Runner, string])[] = [
    ["deno", "FAILED | 3 passed | 2 failed (5s)\n"],
    ["bun", " 3 pass\n 2 fail\n"],
    ["node", "ℹ pass 3\nℹ fail 2\n"],
    [
      "cargo",
      "test result: ok. 3 passed; 0 failed;\ntest result: FAILED. 0 passed; 2 failed;\n",
    ],
  ];
  for (const [runner, output] of outputs) {
    const counts = countResults(runner, output, false);
    assert.deepEqual(counts, { passed: 3, failed: 2 }, runner);
  }
});

test("countResults() counts a runner that says nothing as one failure", () => {
  for (const runner of ["deno", "bun", "node", "cargo"] as const) {
    const silent = { passed: 0, failed: 1 };
    assert.deepEqual(countResults(runner, "", true), silent, runner);
    assert.deepEqual(countResults(runner, "Segmentation fault", false), silent);
  }
});

test("countResults() counts an error beside passing tests", () => {
  for (const [runner, output] of PASSING) {
    const counts = countResults(runner, output, false);
    assert.deepEqual(counts, { passed: 41, failed: 1 }, runner);
  }
});

test("countResults() counts no test at all as a failure", () => {
  const counts = countResults("deno", "ok | 0 passed | 0 failed (1ms)\n", true);
  assert.deepEqual(counts, { passed: 0, failed: 1 });
});

test("countResults() counts a check as one", () => {
  assert.deepEqual(countResults("check", "", true), { passed: 1, failed: 0 });
  assert.deepEqual(countResults("check", "", false), { passed: 0, failed: 1 });
});

test("addCounts() adds", () => {
  const counts = [{ passed: 1, failed: 2 }, { passed: 30, failed: 0 }];
  assert.deepEqual(addCounts(counts), { passed: 31, failed: 2 });
  assert.deepEqual(addCounts([]), { passed: 0, failed: 0 });
});
