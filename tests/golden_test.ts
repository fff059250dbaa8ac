import { test } from "node:test";
import assert from "node:assert/strict";

import { numel } from "../src/core/shape.ts";
import { cases, golden } from "./golden.ts";

test("golden() decodes each tensor of expected.safetensors to its shape", async () => {
  const file = await golden();
  assert.equal(file.names.length, 97);
  for (const name of file.names) {
    const { shape, data } = file.get(name);
    assert.equal(data.length, numel(shape), name);
  }
  const mask = file.int32("text.attention_mask");
  assert.deepEqual([...mask.data], new Array(numel(mask.shape)).fill(1));
});

test("golden() decodes int64, bool and bfloat16 values", async () => {
  const file = await golden();
  assert.equal(file.int32("text.input_ids").data[0], 2); // <bos>
  assert.deepEqual(new Set(file.uint8("audio.audio_mask").data), new Set([0]));
  const shard = await golden("tiny/model-00001-of-00003.safetensors");
  for (const name of shard.names) {
    assert.ok(shard.float32(name).data.every(Number.isFinite), name);
  }
});

test("cases() gives as many continuations as expected.safetensors has rows", async () => {
  const file = await golden();
  for (const { name, generated, newTokens } of await cases()) {
    assert.deepEqual(file.get(`${name}.generated_ids`).shape, [
      generated.length,
      newTokens,
    ]);
  }
});
