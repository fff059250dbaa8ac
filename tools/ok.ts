// The gate. Ends with one line of counts, and with code 1 if anything failed.
//
//   deno run -A tools/ok.ts           checks and tests
//   deno run -A tools/ok.ts checks    the checks alone
//   deno run -A tools/ok.ts tests     the tests alone
import { checkSteps, testSteps } from "./gate_steps.ts";
import { runSteps, type Step } from "./run_steps.ts";
import { addCounts, type Counts } from "./step_results.ts";

/** What the other steps need; without it they would fail one by one. */
const INSTALL: Step = {
  name: "npm packages",
  runner: "check",
  command: [Deno.execPath(), "install", "--frozen"],
};

const [wanted = "all"] = Deno.args;
if (!["all", "checks", "tests"].includes(wanted)) {
  console.error(`Cannot run "${wanted}": wanted "checks", "tests", or nothing`);
  Deno.exit(2);
}

let counts: Counts = await runSteps([INSTALL]);
if (counts.failed === 0) {
  const steps = [
    ...(wanted === "checks" ? [] : await testSteps()),
    ...(wanted === "tests" ? [] : checkSteps()),
  ];
  counts = addCounts([counts, await runSteps(steps)]);
}
console.log(`${counts.passed} passed, ${counts.failed} failed`);
if (counts.failed > 0) Deno.exit(1);
