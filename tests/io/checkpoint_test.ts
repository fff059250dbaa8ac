import { test } from "node:test";
import assert from "node:assert/strict";

import { decodeToFloat32 } from "../../src/core/dtype.ts";
import { CheckpointError, UnsupportedError } from "../../src/core/errors.ts";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { golden, referenceBytes } from "../golden.ts";
import { memoryFiles, randomInts, safetensorsBytes } from "./files.ts";

const INDEX = "model.safetensors.index.json";
const SHARDS = [1, 2, 3].map((i) => `model-0000${i}-of-00003.safetensors`);

async function tinyFiles(): Promise<Record<string, Uint8Array>> {
  const files: Record<string, Uint8Array> = {};
  for (const name of [INDEX, ...SHARDS]) {
    files[name] = await referenceBytes(`tiny/${name}`);
  }
  return files;
}

/** `a` F32 [5, 3], `s` F32 [], `z` BF16 [0, 4], `ids` I64 [2]. */
function smallFile(): Uint8Array {
  return safetensorsBytes({
    a: { dtype: "F32", shape: [5, 3], data_offsets: [0, 60] },
    s: { dtype: "F32", shape: [], data_offsets: [60, 64] },
    z: { dtype: "BF16", shape: [0, 4], data_offsets: [64, 64] },
    ids: { dtype: "I64", shape: [2], data_offsets: [64, 80] },
  }, 80);
}

const index = (map: Record<string, unknown>, totalSize?: unknown) =>
  JSON.stringify({ metadata: { total_size: totalSize }, weight_map: map });

test("openCheckpoint() gives every tensor of a sharded checkpoint", async () => {
  await using checkpoint = await openCheckpoint(memoryFiles(await tinyFiles()));
  let count = 0;
  for (const shard of SHARDS) {
    const file = await golden(`tiny/${shard}`);
    for (const name of file.names) {
      const tensor = checkpoint.get(name);
      assert.equal(tensor.file, shard);
      assert.equal(tensor.dtype, "bf16");
      assert.deepEqual(tensor.shape, file.get(name).shape);
      const bytes = await checkpoint.readRows(name, 0, tensor.rows);
      assert.deepEqual(decodeToFloat32(bytes, "bf16"), file.get(name).data);
      count++;
    }
  }
  assert.equal(checkpoint.names().length, count);
});

test("openCheckpoint() reads headers alone and closes all files", async () => {
  const files = memoryFiles(await tinyFiles());
  const checkpoint = await openCheckpoint(files);
  const shards = files.opened.filter(({ name }) => name !== INDEX);
  assert.deepEqual(shards.map(({ reads }) => reads), [2, 2, 2]);
  await checkpoint[Symbol.asyncDispose]();
  assert.ok(files.opened.every(({ closed }) => closed === 1));
});

test("rowBlocks() covers a tensor once, in blocks below the limit", async () => {
  const files = memoryFiles({ "model.safetensors": smallFile() });
  await using checkpoint = await openCheckpoint(files);
  const whole = await checkpoint.readRows("a", 0, 5);
  for (
    const [maxBytes, sizes] of [[60, [5]], [59, [4, 1]], [24, [2, 2, 1]], [
      1,
      [1, 1, 1, 1, 1],
    ]] as const
  ) {
    const rows: number[] = [];
    const bytes: number[] = [];
    for await (const block of checkpoint.rowBlocks("a", maxBytes)) {
      assert.equal(block.firstRow, rows.reduce((sum, n) => sum + n, 0));
      assert.equal(block.dtype, "f32");
      rows.push(block.rows);
      bytes.push(...block.bytes);
    }
    assert.deepEqual(rows, sizes);
    assert.deepEqual(bytes, [...whole]);
  }
});

test("rowBlocks() gives a scalar as one row and nothing for an empty tensor", async () => {
  const files = memoryFiles({ "model.safetensors": smallFile() });
  await using checkpoint = await openCheckpoint(files);
  const blocks = [];
  for await (const { rows, bytes } of checkpoint.rowBlocks("s")) {
    blocks.push([rows, bytes.length]);
  }
  for await (const _ of checkpoint.rowBlocks("z")) blocks.push("more");
  assert.deepEqual(blocks, [[1, 4]]);
});

test("readRows() fills the start of a shared array", async () => {
  const files = memoryFiles({ "model.safetensors": smallFile() });
  await using checkpoint = await openCheckpoint(files);
  const into = new Uint8Array(new SharedArrayBuffer(30)).fill(255);
  const bytes = await checkpoint.readRows("a", 3, 2, into);
  assert.deepEqual([...bytes], Array.from({ length: 24 }, (_, i) => 36 + i));
  assert.ok(into.subarray(24).every((byte) => byte === 255));
});

test("Checkpoint names the tensor that is missing, too short or no weight", async () => {
  const files = memoryFiles({ "model.safetensors": smallFile() });
  await using checkpoint = await openCheckpoint(files);
  assert.equal(checkpoint.has("a"), true);
  assert.equal(checkpoint.has("b"), false);
  assert.throws(() => checkpoint.get("b"), { tensor: "b" });
  assert.throws(() => checkpoint.get("ids"), UnsupportedError);
  for (const [first, rows] of [[0, 6], [5, 1], [-1, 1], [2, -1]]) {
    await assert.rejects(checkpoint.readRows("a", first!, rows!), {
      name: "CheckpointError",
      tensor: "a",
    });
  }
});

const BROKEN: [string, Record<string, Uint8Array | string>, object][] = [
  ["no weights", {}, { message: /neither/ }],
  ["a missing shard", { [INDEX]: index({ a: "x.safetensors" }) }, {
    file: "x.safetensors",
    tensor: "a",
  }],
  ["a shard that lacks a tensor", {
    [INDEX]: index({ a: "x.safetensors", b: "x.safetensors" }),
    "x.safetensors": smallFile(),
  }, { file: "x.safetensors", tensor: "b" }],
  ["a wrong total size", {
    [INDEX]: index({ a: "x.safetensors" }, 61),
    "x.safetensors": smallFile(),
  }, { message: /total size of 61 bytes, .* have 60/ }],
  ["a total size that is no number", {
    [INDEX]: index({ a: "x.safetensors" }, "60"),
    "x.safetensors": smallFile(),
  }, { message: /total_size "60"/ }],
  ["an index without a map", { [INDEX]: '{"metadata":{}}' }, {
    message: /weight_map/,
  }],
  ["an index whose file name is no string", { [INDEX]: index({ a: 1 }) }, {
    tensor: "a",
  }],
  ["an index that leads out of the folder", {
    [INDEX]: index({ a: "../x.safetensors" }),
  }, { message: /below the model's folder/ }],
  ["a truncated shard", {
    [INDEX]: index({ a: "x.safetensors" }),
    "x.safetensors": smallFile().slice(0, -1),
  }, { file: "x.safetensors" }],
];

for (const [what, contents, expected] of BROKEN) {
  test(`openCheckpoint() rejects ${what} and closes all files`, async () => {
    const files = memoryFiles(contents);
    await assert.rejects(openCheckpoint(files), {
      name: "CheckpointError",
      ...expected,
    });
    assert.ok(files.opened.every(({ closed }) => closed === 1));
  });
}

const MUTATIONS = 2000;

test("openCheckpoint() gives a CheckpointError or a readable checkpoint for any damage", async () => {
  const shard = smallFile();
  const indexBytes = new TextEncoder().encode(
    index({ a: "x.safetensors", s: "x.safetensors" }, 64),
  );
  const random = randomInts(11);
  let opened = 0;
  for (let i = 0; i < MUTATIONS; i++) {
    const files = memoryFiles({
      [INDEX]: i % 2 ? damage(indexBytes, random) : indexBytes,
      "x.safetensors": i % 2 ? shard : damage(shard, random),
    });
    try {
      await using checkpoint = await openCheckpoint(files);
      for (const name of checkpoint.names()) {
        for await (const { bytes } of checkpoint.rowBlocks(name)) {
          assert.ok(bytes.length <= 80);
        }
      }
      opened++;
    } catch (error) {
      const known = error instanceof CheckpointError ||
        error instanceof UnsupportedError; // a flipped dtype of equal size
      assert.ok(known, String(error));
    }
  }
  assert.ok(opened > 0 && opened < MUTATIONS);
});

function damage(
  bytes: Uint8Array,
  random: (limit: number) => number,
): Uint8Array {
  const damaged = bytes.slice();
  if (random(4) === 0) return damaged.slice(0, random(damaged.length));
  const at = random(damaged.length);
  damaged[at] = damaged[at]! ^ (1 << random(8));
  return damaged;
}
