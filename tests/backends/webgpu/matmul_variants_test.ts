// Products by every kernel of the WebGPU device, against the reference: with
// subgroups and without, and of weights that no binding holds whole.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  chooseTiling,
  LARGE_TILE,
  MEDIUM_TILE,
  mostPartials,
  SMALL_TILE,
  TALL_TILE,
  TILES,
} from "../../../src/backends/webgpu/kernels/matmul_tiles/tiling.ts";
import {
  LARGE_PACKED,
  MEDIUM_PACKED,
  PACKED_TILES,
  SMALL_PACKED,
} from "../../../src/backends/webgpu/kernels/packed_tiles/tiles.ts";
import type { Tensor } from "../../../src/ops/ops.ts";
import { activations } from "../../ops/activations.ts";
import { reference } from "../../ops/parity.ts";
import {
  assertTensorClose,
  asWeight,
  randomTensor,
  runOps,
  type Step,
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
/** Products of each tile of floats, with K whole and split, whose last tiles are cut off. */
const TILINGS = [
  { tile: SMALL_TILE, rows: 5, width: 416, outputs: 30, isSplit: true },
  { tile: MEDIUM_TILE, rows: 1015, width: 64, outputs: 700, isSplit: false },
  { tile: MEDIUM_TILE, rows: 375, width: 704, outputs: 375, isSplit: true },
  { tile: TALL_TILE, rows: 759, width: 64, outputs: 4092, isSplit: false },
  { tile: LARGE_TILE, rows: 500, width: 64, outputs: 4092, isSplit: false },
  { tile: LARGE_TILE, rows: 119, width: 2080, outputs: 1015, isSplit: true },
];
/** Likewise of bytes. */
const PACKED_TILINGS = [
  { tile: SMALL_PACKED, rows: 5, width: 32, outputs: 30, isSplit: false },
  { tile: SMALL_PACKED, rows: 5, width: 704, outputs: 30, isSplit: true },
  { tile: MEDIUM_PACKED, rows: 119, width: 32, outputs: 4092, isSplit: false },
  { tile: MEDIUM_PACKED, rows: 33, width: 704, outputs: 1500, isSplit: true },
  { tile: LARGE_PACKED, rows: 500, width: 32, outputs: 4092, isSplit: false },
  { tile: LARGE_PACKED, rows: 70, width: 2080, outputs: 1500, isSplit: true },
];

const context = await testGpu();
if (context) {
  const { maxBufferSize } = context.limits;
  const targets = [
    deviceOf(context, "all features", {}),
    deviceOf(context, "no subgroups", {
      subgroups: {
        subgroupSize: 0,
        enablesSubgroups: false,
        packedDots: false,
      },
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
  const [all, plain] = targets;
  const tilings = [
    ...TILINGS.flatMap((tiling) =>
      (["f32", "q8", "q4"] as const).map((format) => ({
        ...tiling,
        format,
        on: plain!,
        sort: "floats",
      }))
    ),
    ...PACKED_TILINGS.map((tiling) => ({
      ...tiling,
      format: tiling.isSplit ? "q8" as const : "q4" as const,
      on: all!,
      sort: "bytes",
    })),
  ];
  for (
    const { tile, rows, width, outputs, isSplit, format, on, sort } of tilings
  ) {
    test(
      `matmul of ${format} in tiles of ${tile.rows} x ${tile.outputs} ${sort}${
        isSplit ? " of parts of K" : ""
      } matches the reference`,
      async () => {
        // Floats may end within a vector.
        const k = format === "f32" ? width - 3 : width;
        const w = randomTensor([outputs, k], { seed: 1 });
        const x = randomTensor([rows, k], { seed: 2 });
        await assertSameProduct(on, x, asWeight("matrix", w, format));
      },
    );
  }
  test("NaN and infinity reach all products of their row, and no others, in tiles of bytes", async () => {
    const [rows, width, outputs] = [9, 64, 40];
    for (const bad of [NaN, Infinity, -Infinity]) {
      const x = randomTensor([rows, width], { seed: 1 });
      x.data[3 * width + 40] = bad;
      const w = asWeight(
        "matrix",
        randomTensor([outputs, width], { seed: 2 }),
        "q4",
      );
      const { data } = await runOps(all!, {
        weights: { w },
        record: ({ ops, weights, upload }) => ops.matmul(upload(x), weights.w),
      });
      for (let row = 0; row < rows; row++) {
        const own = data.subarray(row * outputs, (row + 1) * outputs);
        assert.equal(own.some(Number.isFinite), row !== 3);
        assert.equal(own.every(Number.isFinite), row !== 3);
      }
    }
  });
  for (const target of targets) {
    test(`gatedMatmul of parts of K matches the reference with ${target.name}`, async () => {
      const { rows, width, outputs } = TILINGS[0]!;
      const w = randomTensor([outputs, width], { seed: 1 });
      const x = randomTensor([rows, width], { seed: 2 });
      const gate = randomTensor([rows, outputs], { seed: 3 });
      await assertSameProduct(target, x, asWeight("matrix", w, "q8"), gate);
    });
  }
}

/** What joins the sum of the parts of K. */
const ENDS: Record<string, (step: Step<Ends>, y: Tensor) => Tensor> = {
  "an activation": ({ ops }, y) => ops.silu(y),
  "a limit before a norm": ({ ops, weights }, y) =>
    ops.rmsNorm(ops.clamp(y, 0.1), weights.v, 1e-6),
  "a vector and a residual": ({ ops, weights, upload }, y) =>
    ops.add(
      upload(randomTensor(y.shape, { seed: 4 })),
      ops.mulVector(y, weights.v),
    ),
  "a gate of its own": ({ ops, upload }, y) =>
    ops.geluMul(y, upload(randomTensor(y.shape, { seed: 4 }))),
  "a reader of the product itself": ({ ops }, y) =>
    ops.add(y, ops.rmsNorm(y, undefined, 1e-6)),
  "another product": ({ ops }, y) => ops.geluMul(y, ops.scale(y, 2)),
};

interface Ends {
  readonly w: TestWeight;
  readonly v: TestWeight;
  readonly [name: string]: TestWeight;
}

if (context) {
  for (const [name, end] of Object.entries(ENDS)) {
    test(`matmul of parts of K with ${name} matches the reference`, async () => {
      const target = deviceOf(context, "all features", {});
      // Loads of one element and of four.
      for (const [rows, outputs] of [[5, 31], [6, 32]] as const) {
        const width = 416;
        assert.ok(chooseTiling(TILES, rows, width, outputs).splits > 1);
        const w = randomTensor([outputs, width], { seed: 1, scale: 0.1 });
        const x = randomTensor([rows, width], { seed: 2 });
        const v = randomTensor([outputs], { seed: 3 });
        const run = (on: TestDevice) =>
          runOps<Ends>(on, {
            weights: { w: asWeight("matrix", w), v: asWeight("vector", v) },
            record: (step) =>
              end(step, step.ops.matmul(step.upload(x), step.weights.w)),
          });
        assertTensorClose(await run(target), await run(reference), {
          rtol: 1e-5,
          atol: 5e-6,
          label: `${rows} x ${outputs}`,
        });
      }
    });
  }
}

async function assertSameProduct(
  target: TestDevice,
  x: TestTensor,
  w: TestWeight,
  gate?: TestTensor,
): Promise<void> {
  const product = (on: TestDevice, x: TestTensor) =>
    runOps(on, {
      weights: { w },
      record: ({ ops, weights, upload }) =>
        gate
          ? ops.gatedMatmul(upload(x), weights.w, upload(gate))
          : ops.matmul(upload(x), weights.w),
    });
  const met = w.format === "f32" ? x : activations(x, target);
  const expected = await product(reference, met);
  const largest = expected.data.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  assertTensorClose(await product(target, x), expected, {
    atol: TOLERANCE * largest,
    label: x.shape.join(" x "),
  });
}

test("chooseTiling() fills a large GPU with the largest tiles, or with parts of K", () => {
  for (const { tile, rows, width, outputs, isSplit } of TILINGS) {
    for (const k of [width, width - 3]) {
      const tiling = chooseTiling(TILES, rows, k, outputs);
      assert.equal(tiling.tile, tile);
      assert.equal(tiling.splits > 1, isSplit);
    }
  }
  for (const { tile, rows, width, outputs, isSplit } of PACKED_TILINGS) {
    const tiling = chooseTiling(PACKED_TILES, rows, width, outputs);
    assert.equal(tiling.tile, tile);
    assert.equal(tiling.splits > 1, isSplit);
  }
  assert.equal(chooseTiling(TILES, 512, 2048, 8192).tile, LARGE_TILE);
  assert.equal(chooseTiling(TILES, 512, 2048, 8192).splits, 1);
  // Few rows leave larger tiles empty.
  assert.equal(chooseTiling(TILES, 5, 64, 2 ** 18).tile, SMALL_TILE);
});

test("chooseTiling() splits all of K into whole groups, within the room planned for longer steps", () => {
  for (const rows of [5, 33, 130, 257, 511, 512]) {
    for (const width of [0, 1, 33, 256, 260, 2048, 6144]) {
      for (const outputs of [1, 64, 250, 2048, 8192]) {
        const { splits, span } = chooseTiling(TILES, rows, width, outputs);
        assert.equal(4 * span % 32, 0);
        assert.ok((splits - 1) * 4 * span < Math.max(1, width));
        assert.ok(splits * 4 * span >= width);
        if (splits > 1) {
          const room = mostPartials(512, width, outputs);
          assert.ok(splits * rows * outputs <= room);
        }
      }
    }
  }
});
