// Products by every kernel of the WebGPU device, against the reference: with
// subgroups and without, and of weights that no binding holds whole.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  chooseTile,
  LARGE_TILE,
  MEDIUM_TILE,
  SMALL_TILE,
} from "../../../src/backends/webgpu/kernels/matmul_tiles/tile.ts";
import { reference } from "../../ops/parity.ts";
import {
  assertTensorClose,
  asWeight,
  randomTensor,
  runOps,
  type TestDevice,
  testGpu,
  type TestTensor,
  type TestWeight,
} from "../../testing.ts";
import { deviceOf } from "./device_of.ts";

/** Of the largest result: float32 sums. */
const TOLERANCE = 3e-6;
/** Rows of x: kernels of few rows, then tiles. */
const ROWS = [1, 4, 65];
const OUTPUTS = 70;
/** The least products that take the larger tiles, with the last ones cut off. */
const LARGER = [
  { tile: MEDIUM_TILE, rows: 16, outputs: 8 },
  { tile: LARGE_TILE, rows: 16, outputs: 16 },
].map(({ tile, rows, outputs }) => ({
  tile,
  rows: rows * tile.rows - 9,
  outputs: outputs * tile.outputs - 9,
}));

const context = await testGpu();
if (context) {
  const { maxBufferSize } = context.limits;
  const targets = [
    deviceOf(context, "all features", {}),
    deviceOf(context, "no subgroups", {
      subgroups: { subgroupSize: 0, enablesSubgroups: false },
    }),
    deviceOf(context, "bindings of 3000 bytes", {
      limits: { maxStorageBufferBindingSize: 3000, maxBufferSize },
    }),
  ];
  for (const target of targets) {
    for (const format of ["f32", "q8", "q4"] as const) {
      test(`matmul of ${format} matches the reference with ${target.name}`, async () => {
        const widths = format === "f32" ? [33, 68] : [96, 160];
        for (const width of widths) {
          const w = randomTensor([OUTPUTS, width], { seed: width });
          for (const rows of ROWS) {
            const x = randomTensor([rows, width], { seed: rows });
            await assertSameProduct(target, x, asWeight("matrix", w, format));
          }
        }
      });
    }
  }
  const [all] = targets;
  for (const format of ["f32", "q8", "q4"] as const) {
    for (const { tile, rows, outputs } of LARGER) {
      test(`matmul of ${format} in tiles of ${tile.rows} rows matches the reference`, async () => {
        const width = format === "f32" ? 37 : 96;
        const w = randomTensor([outputs, width], { seed: 1 });
        const x = randomTensor([rows, width], { seed: 2 });
        await assertSameProduct(all!, x, asWeight("matrix", w, format));
      });
    }
  }
}

async function assertSameProduct(
  target: TestDevice,
  x: TestTensor,
  w: TestWeight,
): Promise<void> {
  const product = (on: TestDevice) =>
    runOps(on, {
      weights: { w },
      record: ({ ops, weights, upload }) => ops.matmul(upload(x), weights.w),
    });
  const expected = await product(reference);
  const largest = expected.data.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  assertTensorClose(await product(target), expected, {
    atol: TOLERANCE * largest,
    label: x.shape.join(" x "),
  });
}

test("chooseTile() takes the largest tile that is filled and of which there are enough", () => {
  for (const { tile, rows, outputs } of LARGER) {
    assert.equal(chooseTile(rows, outputs), tile);
    assert.notEqual(chooseTile(rows, outputs - tile.outputs), tile);
  }
  assert.equal(chooseTile(65, 70), SMALL_TILE);
  // Few rows leave larger tiles empty.
  assert.equal(chooseTile(5, 2 ** 18), SMALL_TILE);
  assert.equal(chooseTile(64, 2 ** 18), MEDIUM_TILE);
});
