import assert from "node:assert/strict";
import { test } from "node:test";
import {
  packRows,
  splitRows,
  weightLayout,
} from "../../../src/backends/webgpu/weight_layout.ts";
import { halfValue } from "../../../src/core/half.ts";
import { dequantize, quantize } from "../../../src/quant/blocks.ts";
import { randomTensor } from "../../testing.ts";

/** Element `k` of row `row`, as the kernels read it. */
function valueAt(
  format: "q8" | "q4",
  { values, scales }: ReturnType<typeof packRows>,
  width: number,
  row: number,
  k: number,
): number {
  const layout = weightLayout(format, width);
  const g = Math.floor(k / 32);
  const at = row * layout.scaleBytes + 2 * g;
  const scale = halfValue(scales[at]! | (scales[at + 1]! << 8));
  const first = row * layout.valueBytes;
  if (format === "q8") return scale * (values[first + k]! << 24 >> 24);
  const byte = values[first + 16 * g + k % 16]!;
  return scale * ((k % 32 < 16 ? byte & 15 : byte >> 4) - 8);
}

for (const [format, dtype] of [["q8", "q8_0"], ["q4", "q4_0"]] as const) {
  // 96 has an odd number of groups: its rows of scales end in padding.
  for (const width of [32, 64, 96]) {
    test(`packRows() keeps the values of ${format} of width ${width}`, () => {
      const rows = 3;
      const { data } = randomTensor([rows, width], { seed: width });
      const bytes = quantize(data, dtype);
      const wanted = new Float32Array(rows * width);
      dequantize(bytes, dtype, wanted);
      const fromBlocks = packRows(bytes, dtype, format, width);
      const fromNumbers = packRows(
        new Uint8Array(data.buffer),
        "f32",
        format,
        width,
      );
      assert.deepEqual(fromNumbers, fromBlocks);
      const found = Float32Array.from(
        wanted,
        (_, i) =>
          valueAt(format, fromBlocks, width, Math.floor(i / width), i % width),
      );
      assert.deepEqual(found, wanted);
    });
  }
}

for (const [format, dtype] of [["q8", "q8_0"], ["q4", "q4_0"]] as const) {
  test(`packRows() quantises bfloat16 to ${format} as its float32 values`, () => {
    const { data } = randomTensor([3, 96], { seed: 4 });
    const bits = new Uint32Array(data.buffer);
    const halves = Uint16Array.from(bits, (value) => value >>> 16);
    const values = Float32Array.from(data, (_, i) => {
      bits[i] = halves[i]! << 16;
      return data[i]!;
    });
    const wanted = packRows(quantize(values, dtype), dtype, format, 96);
    // At an odd address too.
    for (const offset of [0, 1]) {
      const bytes = new Uint8Array(halves.byteLength + offset);
      bytes.set(new Uint8Array(halves.buffer), offset);
      const found = packRows(bytes.subarray(offset), "bf16", format, 96);
      assert.deepEqual(found, wanted);
    }
  });
}

test("packRows() gives floats as they are when the format is f32", () => {
  const { data } = randomTensor([2, 5], { seed: 1 });
  const { values, scales } = packRows(
    new Uint8Array(data.buffer),
    "f32",
    "f32",
    5,
  );
  assert.deepEqual(new Float32Array(values.slice().buffer), data);
  assert.equal(scales.length, 0);
});

test("splitRows() covers all rows in parts that fit", () => {
  const layout = weightLayout("f32", 16);
  for (const [rows, limit] of [[1, 64], [10, 640], [10, 639], [10, 64]]) {
    const parts = splitRows(rows!, layout, limit!);
    let next = 0;
    for (const part of parts) {
      assert.equal(part.firstRow, next);
      assert.ok(part.rows > 0 && part.rows * layout.valueBytes <= limit!);
      next += part.rows;
    }
    assert.equal(next, rows);
  }
});
