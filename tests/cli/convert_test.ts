// g3n convert: what is written and said, and when it is refused.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import {
  EXIT_FAILURE,
  EXIT_OK,
  EXIT_USAGE,
  runCommandLine,
} from "../../src/cli/main.ts";
import { FakeTerminal } from "./fake_terminal.ts";
import { SLOW, TINY } from "./g3n.ts";

const FOLDER = mkdtempSync(join(tmpdir(), "g3n-cli-convert-"));
after(() => rmSync(FOLDER, { recursive: true }));

async function convert(
  args: readonly string[],
  input?: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const terminal = new FakeTerminal({
    args: ["convert", ...args],
    ...(input !== undefined && { input }),
  });
  const code = await runCommandLine(terminal);
  return { code, stdout: terminal.stdout, stderr: terminal.stderr };
}

test(
  "g3n convert writes a file, and replaces it only with --force",
  SLOW,
  async () => {
    const out = join(FOLDER, "tiny.gguf");
    const args = ["--model", TINY, "--out", out, "--dtype", "q8"];
    const first = await convert(args, "");
    assert.equal(first.code, EXIT_OK);
    assert.match(
      first.stdout,
      /\Wtiny\.gguf: 247 tensors, 1\.1 MB\n.*mmproj-tiny\.gguf: 627 tensors, \d\.\d MB\n$/,
    );
    assert.equal(first.stderr, "");
    assert.ok(existsSync(out));
    const again = await convert(args, "");
    assert.equal(again.code, EXIT_FAILURE);
    assert.match(again.stderr, /^g3n: Cannot write .*--force/);
    const forced = await convert([...args, "--force"]);
    assert.equal(forced.code, EXIT_OK);
    // A person sees how far it is.
    assert.match(forced.stderr, /Writing \d+ % of \d\.\d MB/);
  },
);

test("g3n convert refuses formats that it does not write", SLOW, async () => {
  const out = join(FOLDER, "none.gguf");
  for (const wrong of [["--dtype", "q5"], ["--to", "onnx"]]) {
    const { code } = await convert(["-m", TINY, "-o", out, ...wrong], "");
    assert.equal(code, EXIT_USAGE);
  }
  assert.ok(!existsSync(out));
});
