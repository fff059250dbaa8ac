import { test } from "node:test";
import assert from "node:assert/strict";
import process from "node:process";
import { fileURLToPath } from "node:url";

import { runScript, runtimeName } from "./runtime.ts";

const SCRIPT = fileURLToPath(new URL("./terminal_script.ts", import.meta.url));

test("Terminal passes arguments, standard input, output, errors and the exit code", async () => {
  const result = await runScript(SCRIPT, ["echo", "a b", "c"], "식물은\n");
  assert.equal(result.stdout, "a b|c:식물은\n");
  assert.equal(result.stderr, "false");
  assert.equal(result.code, 3);
});

test("Terminal.lines() splits at line ends of both kinds", async () => {
  const result = await runScript(SCRIPT, ["lines"], "one\r\n\ntwo\nlast");
  assert.equal(result.stdout, "<one><><two><last>");
  assert.equal(result.code, 0);
});

test("Terminal.write() has written all before exit()", async () => {
  const { stdout, code } = await runScript(SCRIPT, ["large"], "");
  assert.equal(stdout.length, 3_000_000);
  assert.equal(code, 0);
});

test("Terminal.onInterrupt() runs the handler instead of ending the process", async () => {
  const onStdout = (text: string, child: { kill(signal: "SIGINT"): void }) => {
    if (text.includes("ready")) child.kill("SIGINT");
  };
  // Deno reports a child it has signalled as killed even when it ends by itself.
  const { stdout } = await runScript(SCRIPT, ["interrupt"], "", onStdout);
  assert.equal(stdout, "ready interrupted");
});

test("Terminal.write() rejects when the reader has gone", async () => {
  const { stderr, code } = await runScript(
    SCRIPT,
    ["pipe"],
    "",
    (_, child) => void child.stdout?.destroy(),
  );
  assert.equal(stderr, "closed");
  assert.equal(code, 0);
});

test("Platform.env() gives undefined without permission to read it", async (context) => {
  if (runtimeName() !== "deno") {
    return context.skip("only Deno has permissions");
  }
  process.env["G3N_TEST_VARIABLE"] = "secret";
  const { stdout, code } = await runScript(SCRIPT, ["env"], "");
  assert.equal(stdout, "undefined");
  assert.equal(code, 0);
});
