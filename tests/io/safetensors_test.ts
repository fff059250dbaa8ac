import { test } from "node:test";
import assert from "node:assert/strict";

import { CheckpointError } from "../../src/core/errors.ts";
import { bytesSource } from "../../src/io/byte_source.ts";
import { readSafetensorsHeader } from "../../src/io/safetensors.ts";
import { countingSource, randomInts, safetensorsBytes } from "./files.ts";

const read = (bytes: Uint8Array) =>
  readSafetensorsHeader(bytesSource("x.safetensors", bytes));

const entry = (dtype: string, shape: unknown, offsets: unknown) => ({
  dtype,
  shape,
  data_offsets: offsets,
});

test("readSafetensorsHeader() gives dtype, shape and place of each tensor", async () => {
  const bytes = safetensorsBytes({
    __metadata__: { format: "pt" },
    "b.weight": entry("BF16", [2, 3], [4, 16]),
    a: entry("F32", [], [0, 4]),
    empty: entry("I64", [0, 7], [4, 4]),
  }, 16);
  const start = bytes.length - 16;
  const { metadata, tensors } = await read(bytes);
  assert.deepEqual([...metadata], [["format", "pt"]]);
  assert.deepEqual([...tensors], [
    ["a", { dtype: "F32", shape: [], offset: start, byteLength: 4 }],
    ["empty", {
      dtype: "I64",
      shape: [0, 7],
      offset: start + 4,
      byteLength: 0,
    }],
    ["b.weight", {
      dtype: "BF16",
      shape: [2, 3],
      offset: start + 4,
      byteLength: 12,
    }],
  ]);
});

test("readSafetensorsHeader() reads the header alone, in two reads", async () => {
  const bytes = safetensorsBytes({ a: entry("U8", [1000], [0, 1000]) }, 1000);
  const source = countingSource(bytesSource("x", bytes));
  await readSafetensorsHeader(source);
  assert.equal(source.reads, 2);
  assert.equal(source.bytesRead, bytes.length - 1000);
});

const DAMAGED: [string, RegExp, Record<string, unknown>, number][] = [
  ["a tensor beyond the end", /ends at byte/, {
    a: entry("F32", [4], [0, 16]),
  }, 15],
  ["bytes that no tensor covers", /tensors end at byte/, {
    a: entry("F32", [4], [0, 16]),
  }, 17],
  ["overlapping tensors", /begins at byte/, {
    a: entry("F32", [4], [0, 16]),
    b: entry("F32", [4], [12, 28]),
  }, 28],
  ["a hole", /begins at byte/, {
    a: entry("F32", [4], [0, 16]),
    b: entry("F32", [4], [20, 36]),
  }, 36],
  ["offsets that do not fit the shape", /takes 16 bytes/, {
    a: entry("F32", [4], [0, 12]),
  }, 12],
  ["reversed offsets", /\[begin, end\]/, { a: entry("F32", [], [4, 0]) }, 4],
  ["three offsets", /\[begin, end\]/, { a: entry("F32", [1], [0, 4, 4]) }, 4],
  ["an unknown dtype", /"F33"/, { a: entry("F33", [1], [0, 4]) }, 4],
  ["an inherited name as dtype", /"toString"/, {
    a: entry("toString", [1], [0, 4]),
  }, 4],
  ["a negative dimension", /shape/, { a: entry("F32", [-1], [0, 4]) }, 4],
  ["a fractional dimension", /shape/, { a: entry("F32", [1.5], [0, 6]) }, 6],
  ["a shape that is no array", /shape/, { a: entry("F32", "1", [0, 4]) }, 4],
  ["a shape beyond all numbers", /takes Infinity/, {
    a: entry("F32", new Array(40).fill(2 ** 40), [0, 4]),
  }, 4],
  ["an entry that is no object", /object/, { a: 1 }, 0],
  ["metadata that is no map of strings", /__metadata__/, {
    __metadata__: { a: 1 },
  }, 0],
];

for (const [what, message, header, dataBytes] of DAMAGED) {
  test(`readSafetensorsHeader() rejects ${what}`, async () => {
    await assert.rejects(read(safetensorsBytes(header, dataBytes)), {
      name: "CheckpointError",
      message,
    });
  });
}

test("readSafetensorsHeader() rejects a duplicate tensor", async () => {
  const one = '"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}';
  await assert.rejects(read(safetensorsBytes(`{${one},${one}}`, 1)), {
    name: "CheckpointError",
    message: /occurs twice/,
  });
});

test("readSafetensorsHeader() rejects a header length beyond file or limit", async () => {
  const bytes = safetensorsBytes({}, 0);
  const view = new DataView(bytes.buffer);
  for (const length of [0n, 3n, 100_000_001n, 2n ** 63n, 2n ** 64n - 1n]) {
    view.setBigUint64(0, length, true);
    await assert.rejects(read(bytes), { message: /its length is given as/ });
  }
  for (let length = 0; length < 8; length++) {
    await assert.rejects(read(bytes.slice(0, length)), CheckpointError);
  }
});

const MUTATIONS = 4000;

test("readSafetensorsHeader() gives a CheckpointError or a valid table for any damage", async () => {
  const original = safetensorsBytes({
    __metadata__: { format: "pt" },
    "model.a.weight": entry("F32", [3, 2], [0, 24]),
    "model.b.weight": entry("BF16", [2, 5], [24, 44]),
    ids: entry("I64", [1, 1], [44, 52]),
  }, 52);
  const random = randomInts(7);
  let rejected = 0;
  for (let i = 0; i < MUTATIONS; i++) {
    let bytes = original.slice();
    if (i % 4 === 0) bytes = bytes.slice(0, random(bytes.length));
    else {
      for (let flips = 1 + random(3); flips > 0; flips--) {
        const at = random(bytes.length - 52); // data bits make no difference
        bytes[at] = bytes[at]! ^ (1 << random(8));
      }
    }
    const source = countingSource(bytesSource("x", bytes));
    try {
      const { tensors } = await readSafetensorsHeader(source);
      for (const { offset, byteLength } of tensors.values()) {
        assert.ok(offset + byteLength <= bytes.length);
      }
    } catch (error) {
      assert.ok(error instanceof CheckpointError, String(error));
      rejected++;
    }
    assert.ok(source.bytesRead <= bytes.length);
  }
  assert.ok(rejected > MUTATIONS / 2 && rejected < MUTATIONS);
});
