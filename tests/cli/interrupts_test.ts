// Ctrl-C at every stage, and a reader that leaves.
import assert from "node:assert/strict";
import { test } from "node:test";

import { EXIT_INTERRUPTED, runCommandLine } from "../../src/cli/main.ts";
import { serveFiles } from "../io/http_server.ts";
import { FakeTerminal } from "./fake_terminal.ts";
import { expectedCase, g3n, interrupt, SLOW, TINY } from "./g3n.ts";

const PROMPT = "The capital of France is";
/** An answer that takes long enough to be interrupted. */
const LONG = ["run", "-m", TINY, "-n", "3000", "--repetition-penalty", "1.2"];

test(
  "Ctrl-C during the answer leaves what was printed and ends with 130",
  SLOW,
  async () => {
    let sent = false;
    const { code, stdout, stderr } = await g3n([...LONG, PROMPT], "", {
      onStdout: (_, child) => {
        if (!sent) interrupt(child);
        sent = true;
      },
    });
    assert.equal(code, 130);
    assert.equal(stderr, "");
    assert.match(stdout, /\S.*\n$/s);
  },
);

test("Ctrl-C while a prompt is typed ends with 130", SLOW, async () => {
  const terminal = new FakeTerminal({ args: ["run", "-m", TINY] });
  const ended = runCommandLine(terminal);
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.match(terminal.stderr, /^Type the prompt/);
  terminal.interrupt();
  assert.equal(await ended, EXIT_INTERRUPTED);
  assert.equal(terminal.stdout, "");
});

test("a second Ctrl-C does not wait for an orderly end", SLOW, async () => {
  const terminal = new FakeTerminal({ args: ["run", "-m", TINY] });
  const ended = runCommandLine(terminal);
  terminal.interrupt();
  assert.throws(() => terminal.interrupt(), /exit 130/);
  assert.equal(await ended, EXIT_INTERRUPTED);
});

test("Ctrl-C while a model is loaded ends with 130", SLOW, async () => {
  let child: { readonly pid?: number | undefined } = {};
  await using server = await serveFiles({}, () => {
    interrupt(child);
    return true; // and never an answer
  });
  const { code, stdout, stderr } = await g3n(
    ["run", "-m", `${server.address}/model`, PROMPT],
    "",
    { denoFlags: ["--allow-net"], onStart: (started) => child = started },
  );
  assert.equal(code, 130);
  assert.equal(stdout + stderr, "");
});

test("g3n run ends quietly when nobody reads the answer", SLOW, async () => {
  const { code, stdout, stderr } = await g3n([...LONG, PROMPT], "", {
    onStdout: (_, child) => void child.stdout?.destroy(),
  });
  assert.equal(stderr, "");
  assert.equal(code, 0);
  const { text } = await expectedCase("text");
  assert.equal(stdout.slice(0, 4), text.slice(0, 4));
});
