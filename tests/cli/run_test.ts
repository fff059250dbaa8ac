// g3n run: what it prints is what Transformers generates.
import assert from "node:assert/strict";
import { test } from "node:test";

import { referencePath } from "../golden.ts";
import { expectedCase, g3n, SLOW, SYSTEM, TINY } from "./g3n.ts";

async function answer(
  name: string,
  args: readonly string[],
  input?: string,
): Promise<void> {
  const { text, newTokens } = await expectedCase(name);
  const result = await g3n(
    ["run", "-m", TINY, "-n", String(newTokens), ...args],
    input,
  );
  assert.equal(result.stderr, "");
  assert.equal(result.stdout, `${text}\n`);
  assert.equal(result.code, 0);
}

test(
  "g3n run continues standard input, without the end of its last line",
  SLOW,
  async () => {
    await answer("text", [], "The capital of France is\n");
  },
);

test(
  "g3n run continues its argument on the reference device",
  SLOW,
  async () => {
    await answer("korean", [
      "--device",
      "reference",
      "식물은 특정 과정을 통해 에너지를 생성합니다.",
    ]);
  },
);

test("g3n run computes with threads and formats as told", SLOW, async () => {
  const prompt = "The capital of France is";
  await answer("text", [
    "--device",
    "wasm",
    "--threads",
    "2",
    "--dtype",
    "f32",
    "--cache-dtype",
    "f32",
    prompt,
  ]);
  const json = async (...flags: string[]) => {
    const { stdout, stderr } = await g3n(
      ["run", "-m", TINY, "-n", "8", "--json", ...flags, prompt],
    );
    assert.equal(stderr, "");
    return JSON.parse(stdout).generatedText as string;
  };
  // The same bits whatever the threads.
  const one = await json("--dtype", "q8", "--cache-dtype", "f16");
  const two = await json(
    "--dtype",
    "q8",
    "--cache-dtype",
    "f16",
    "--threads",
    "2",
  );
  assert.equal(two, one);
});

test("g3n run answers with a system message", SLOW, async () => {
  await answer("chat", ["--system", SYSTEM, "Hello, who are you?"]);
});

test("g3n run answers about a picture and a clip", SLOW, async () => {
  await answer("mixed", [
    "--system",
    SYSTEM,
    "--image",
    referencePath("media/cat.png"),
    "--audio",
    referencePath("media/speech-16k.wav"),
    "Does the speech describe the picture?",
  ]);
});

test(
  "g3n run --task automatic-speech-recognition needs no prompt",
  SLOW,
  async () => {
    await answer("audio", [
      "--task",
      "automatic-speech-recognition",
      "--system",
      SYSTEM,
      "--audio",
      referencePath("media/speech-16k.wav"),
    ]);
  },
);

test("g3n run --json prints the answer and its figures", SLOW, async () => {
  const { text } = await expectedCase("text");
  const { stdout, stderr, code } = await g3n([
    "run",
    "-m",
    TINY,
    "-n",
    "20",
    "--stop",
    "message",
    "--json",
    "The capital of France is",
  ]);
  assert.equal(stderr, "");
  assert.equal(code, 0);
  assert.equal(stdout.split("\n").length, 2);
  const line = JSON.parse(stdout);
  assert.equal(line.generatedText, text.slice(0, text.indexOf("message")));
  assert.equal(line.finishReason, "stop");
  assert.ok(line.promptTokens > 3 && line.promptTokens < 20);
  assert.ok(line.newTokens > 5 && line.newTokens <= 20);
  assert.ok(line.seconds > 0 && line.tokensPerSecond > 0);
});

test(
  "g3n run samples the same with the same seed, and otherwise not at all",
  SLOW,
  async () => {
    const sample = async (...args: string[]) => {
      const { stdout, code } = await g3n(
        ["run", "-m", TINY, "-n", "12", ...args, "The capital of France is"],
      );
      assert.equal(code, 0);
      return stdout.trimEnd();
    };
    const [first, again, other, greedy] = await Promise.all([
      sample("--seed", "1"),
      sample("--seed", "1"),
      sample("--seed", "2", "--temperature", "1.5"),
      sample("--seed", "1", "--no-sample"),
    ]);
    assert.equal(first, again);
    assert.notEqual(first, other);
    assert.ok((await expectedCase("text")).text.startsWith(greedy!));
  },
);
