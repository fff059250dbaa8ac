import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { BLOCK_SIZES, type BlockDtype } from "../../src/core/dtype.ts";
import { InputError } from "../../src/core/errors.ts";
import {
  decodeRows,
  dequantize,
  quantize,
  relativeRmsError,
} from "../../src/quant/blocks.ts";
import type { QuantizedDtype } from "../../src/quant/quantize_groups.ts";
import { randomTensor } from "../testing.ts";

/** Blocks made by the `gguf` package, see make_blocks.py. */
const GOLDEN = JSON.parse(
  readFileSync(new URL("blocks.json", import.meta.url), "utf8"),
) as Record<BlockDtype, Record<"values" | "blocks" | "restored", string>>;
const QUANTIZED: readonly QuantizedDtype[] = ["q8_0", "q4_0"];

/** Relative RMS error of Gaussian data. */
const MAX_ERROR = { q8_0: 0.01, q4_0: 0.1 };

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

function floatsOf(text: string): Float32Array {
  return new Float32Array(bytesOf(text).buffer);
}

for (const dtype of Object.keys(BLOCK_SIZES) as BlockDtype[]) {
  test(`dequantize() gives the values that ggml's Python package gives for ${dtype}`, () => {
    const { blocks, restored } = GOLDEN[dtype];
    const expected = floatsOf(restored);
    const out = new Float32Array(expected.length);
    dequantize(bytesOf(blocks), dtype, out);
    assert.deepEqual(out, expected);
    assert.deepEqual(decodeRows(bytesOf(blocks), dtype), expected);
  });

  test(`dequantize() refuses lengths that are not whole blocks of ${dtype}`, () => {
    const { bytes, values } = BLOCK_SIZES[dtype];
    for (const [b, v] of [[bytes - 1, values], [bytes, values - 1], [0, 1]]) {
      assert.throws(
        () => dequantize(new Uint8Array(b!), dtype, new Float32Array(v!)),
        InputError,
      );
    }
  });
}

for (const dtype of QUANTIZED) {
  test(`quantize() gives the bytes that ggml's Python package gives for ${dtype}`, () => {
    const { values, blocks } = GOLDEN[dtype];
    assert.deepEqual(quantize(floatsOf(values), dtype), bytesOf(blocks));
  });

  test(`quantize() to ${dtype} keeps Gaussian data within the format's error`, () => {
    const { data } = randomTensor([64, 256], { seed: 3 });
    const restored = decodeRows(quantize(data, dtype), dtype);
    const error = relativeRmsError(data, restored);
    assert.ok(
      error < MAX_ERROR[dtype] && error > MAX_ERROR[dtype] / 20,
      `${error}`,
    );
  });

  test(`quantize() to ${dtype} gives back what it gave`, () => {
    const { data } = randomTensor([8, 32], { seed: 4 });
    const once = quantize(data, dtype);
    assert.deepEqual(quantize(decodeRows(once, dtype), dtype), once);
  });

  test(`quantize() to ${dtype} refuses odd lengths and values without a scale`, () => {
    assert.throws(() => quantize(new Float32Array(33), dtype), InputError);
    for (const bad of [NaN, Infinity, -Infinity, 3e38]) {
      const values = new Float32Array(64).fill(0.5);
      values[40] = bad;
      assert.throws(() => quantize(values, dtype), InputError, String(bad));
    }
  });
}

test("quantize() to q4_0 places values 0 and 16 in one byte", () => {
  const values = new Float32Array(32);
  values[0] = -8;
  values[16] = 7;
  const blocks = quantize(values, "q4_0");
  // scale 1: half 0x3c00; -8 is 0, 7 is 15, 0 is 8
  assert.deepEqual([...blocks.subarray(0, 4)], [0x00, 0x3c, 0xf0, 0x88]);
});

test("quantize() to q8_0 rounds halves away from zero", () => {
  const values = new Float32Array(32);
  values.set([127, 0.5, -0.5, 1.5, -2.5, 0.49999997]);
  const blocks = new Int8Array(quantize(values, "q8_0").buffer);
  assert.deepEqual([...blocks.subarray(2, 8)], [127, 1, -1, 2, -3, 0]);
});

test("quantize() gives zeros for zeros and for values below a half's range", () => {
  for (const value of [0, 1e-44]) {
    for (const dtype of QUANTIZED) {
      const blocks = quantize(new Float32Array(32).fill(value), dtype);
      assert.deepEqual(
        decodeRows(blocks, dtype).map(Math.abs),
        new Float32Array(32),
      );
    }
  }
});

test("relativeRmsError() is the relative root mean square", () => {
  const values = Float32Array.of(3, 4);
  assert.equal(relativeRmsError(values, Float32Array.of(3, 4)), 0);
  assert.equal(relativeRmsError(values, Float32Array.of(3, 3.5)), 0.1);
  assert.equal(relativeRmsError(new Float32Array(2), new Float32Array(2)), 0);
});
