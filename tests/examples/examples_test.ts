// Each example runs to its end on this runtime with nothing but the right to
// read files, and says something.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { referencePath } from "../golden.ts";
import { runScript } from "../platform/runtime.ts";

async function outputOf(
  name: string,
  args: readonly string[] = [],
): Promise<string> {
  const path = fileURLToPath(
    new URL(`../../examples/${name}.ts`, import.meta.url),
  );
  const { code, stdout, stderr } = await runScript(path, args, "");
  assert.equal(code, 0, stderr);
  assert.equal(stderr, "");
  return stdout;
}

test("text.ts answers with the default model, and with another", async () => {
  const output = await outputOf("text");
  assert.match(output, /^Greedy: {2}Paris\. \(stop\)\n/);
  assert.equal(output.split("Sampled: ").length - 1, 2);
  const other = await outputOf("text", [referencePath("tiny"), "Hello"]);
  assert.match(other, /^Greedy: {2}[\s\S]*\S[\s\S]* \(length\)\nSampled: /);
});

test("image.ts and audio.ts answer", async () => {
  assert.equal(await outputOf("image"), "A cat.\n");
  assert.match(
    await outputOf("audio"),
    /^It says: The dog is playing in the park\.\nAsked: .*\S/,
  );
});

test("two_images.ts tells which picture shows the cat", async () => {
  const shown = /^1 prompt of 1\d\d tokens, pictures 2,3,256,256\n(.*)\n$/;
  assert.equal((await outputOf("two_images")).match(shown)?.[1], "The first.");
  const swapped = await outputOf("two_images", [
    "models/nano",
    "tests/reference/media/flower.jpg",
    "examples/data/cat.png",
  ]);
  assert.equal(swapped.match(shown)?.[1], "The second.");
});

test("chat.ts computes only what is new in the second turn", async () => {
  const output = await outputOf("chat");
  assert.match(output, /^ {2}Paris\.$/m);
  assert.match(output, /^ {2}Tokyo\.$/m);
  const reused = [...output.matchAll(/\((\d+) of (\d+) tokens/g)];
  assert.equal(reused.length, 2);
  const [first, second] = reused as [RegExpExecArray, RegExpExecArray];
  assert.equal(first[1], "0");
  // The cache of the first turn holds at least its prompt.
  assert.ok(Number(second[1]) >= Number(first[2]), output);
  assert.ok(Number(second[1]) < Number(second[2]), output);
});

test("demo.ts has sensible answers of the default model", async () => {
  const output = await outputOf("demo");
  assert.match(output, /^ {2}A cat\.$/m);
  assert.match(output, /^ {2}The dog is playing in the park\.$/m);
  assert.match(output, /^ {2}Paris\.$/m);
});

test("demo.ts shows the three tasks", async () => {
  const output = await outputOf("demo", [referencePath("tiny")]);
  for (
    const task of [
      "image-text-to-text",
      "automatic-speech-recognition",
      "any-to-any",
    ]
  ) {
    assert.match(output, new RegExp(`^${task}: .*\\n  .*\\S`, "m"));
  }
});
