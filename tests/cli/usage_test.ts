// Help, wrong arguments and failures: what is said, where, and the exit code.
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  EXIT_FAILURE,
  EXIT_OK,
  EXIT_USAGE,
  runCommandLine,
} from "../../src/cli/main.ts";
import { VERSION } from "../../src/cli/version.ts";
import { referencePath } from "../golden.ts";
import { FakeTerminal } from "./fake_terminal.ts";
import { g3n, SLOW, TINY } from "./g3n.ts";

async function run(
  args: readonly string[],
  input = "",
): Promise<{ code: number; stdout: string; stderr: string }> {
  const terminal = new FakeTerminal({ args, input });
  const code = await runCommandLine(terminal);
  return { code, stdout: terminal.stdout, stderr: terminal.stderr };
}

test("g3n --help and --version need no rights but reading", SLOW, async () => {
  const help = await g3n(["--help"]);
  assert.equal(help.code, EXIT_OK);
  assert.equal(help.stderr, "");
  assert.match(help.stdout, /^Usage: g3n [\s\S]*chat[\s\S]*Exit codes/);
  assert.equal((await run(["--version"])).stdout, `${VERSION}\n`);
});

test(
  "the help of each command groups its options and has examples",
  SLOW,
  async () => {
    const groups = {
      run: ["Model:", "Input:", "Answer:", "Sampling:", "Output:", "Examples:"],
      chat: ["Model:", "Answer:", "Sampling:", "In the chat:", "Examples:"],
      info: ["Model:", "Output:", "Examples:"],
    };
    for (const [command, headings] of Object.entries(groups)) {
      const { code, stdout } = await run([command, "--help"]);
      assert.equal(code, EXIT_OK);
      for (const heading of headings) {
        assert.ok(stdout.includes(`\n${heading}\n`), `${command}: ${heading}`);
      }
      const options = ["device", "dtype", "cache-dtype", "threads"];
      for (const option of [...options, "per-layer-embeddings"]) {
        assert.match(stdout, new RegExp(`^ +--${option} <`, "m"), command);
      }
      const widest = Math.max(...stdout.split("\n").map((l) => l.length));
      assert.ok(widest < 100, `${command}: ${widest} columns`);
    }
  },
);

test("wrong arguments are told in one line and a hint", SLOW, async () => {
  const wrong: [string[], RegExp][] = [
    [["nosuch"], /unknown command 'nosuch'/],
    [["run", "-m", TINY, "--imag", "x", "Hi"], /Did you mean --image/],
    [
      ["run", "-m", TINY, "--device", "gpu", "Hi"],
      /auto, wasm, webgpu, reference/,
    ],
    [["chat", "-m", TINY, "--cache-dtype", "f64"], /auto, f32, f16, q8/],
    [["run", "-m", TINY, "--per-layer-embeddings", "gpu", "Hi"], /auto, file/],
    [["info", "-m", TINY, "--dtype", "q2"], /auto, f32, f16, q8, q4/],
    [["run", "-m", TINY, "--threads", "0", "Hi"], /whole number of at least 1/],
    [["run", "-m", TINY, "--temperature", "0", "Hi"], /It is not above 0/],
    [["run", "-m", TINY, "--temperature", "warm", "Hi"], /not a number/],
    [["run", "-m", TINY, "--top-p", "1.5", "Hi"], /not between 0 and 1/],
    [["run", "-m", TINY, "-n", "0", "Hi"], /whole number of at least 1/],
    [["run", "-m", TINY, "--seed", "-1", "Hi"], /whole number of at least 0/],
    [["run", "-m", TINY], /Cannot answer an empty prompt/],
    [["run", "-m", TINY, "two", "prompts"], /too many arguments/],
    [
      ["run", "-m", TINY, "-t", "automatic-speech-recognition"],
      /Cannot transcribe 0 clips/,
    ],
    [["chat", "-m", TINY, "stray"], /too many arguments/],
  ];
  for (const [args, message] of wrong) {
    const { code, stdout, stderr } = await run(args);
    assert.equal(code, EXIT_USAGE, args.join(" "));
    assert.match(stderr, message);
    assert.match(stderr, /^g3n: /);
    assert.equal(stdout, "");
  }
});

test("failures are told in one line", SLOW, async () => {
  const image = referencePath("media/nosuch.png");
  const failing: [string[], RegExp][] = [
    [["run", "-m", "./no/such", "Hi"], /no\/such/],
    [["run", "-m", TINY, "-i", image, "Hi"], /nosuch\.png/],
    [
      ["run", "-m", TINY, "-i", referencePath("tiny/config.json"), "Hi"],
      /Cannot decode the image/,
    ],
    [
      ["run", "-m", TINY, "--context-length", "20", "Hi"],
      /Cannot generate 256 tokens .* the context holds 20/,
    ],
    [["run", "-m", TINY, "--dtype", "f32", "-n", "5000", "Hi"], /5000/],
    [["info", "-m", "./no/such"], /no\/such/],
  ];
  for (const [args, message] of failing) {
    const { code, stdout, stderr } = await run(args);
    assert.equal(code, EXIT_FAILURE, stderr);
    assert.match(stderr, message);
    assert.match(stderr, /^g3n: [^\n]*\n$/);
    assert.equal(stdout, "");
  }
});

test(
  "g3n info describes a checkpoint, as a table and as JSON",
  SLOW,
  async () => {
    const table = await g3n(["info", "-m", TINY]);
    assert.equal(table.code, EXIT_OK);
    assert.equal(table.stderr, "");
    assert.match(table.stdout, /^Decoder +10 layers \(5 share/m);
    const { stdout } = await run(["info", "-m", TINY, "--json"]);
    const info = JSON.parse(stdout);
    assert.equal(info.tensors, 863);
    assert.equal(info.config.textConfig.hiddenSize, 64);
    assert.ok(info.memory.weights > 0);
  },
);
