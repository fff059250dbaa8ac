// Products and lookups of quantised weights: against exact arithmetic on the
// same quantised numbers, which is the reference device given, for a CPU,
// activations that were quantised already.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FORMAT_BLOCKS, type WeightFormat } from "../../src/core/dtype.ts";
import { CheckpointError, InputError } from "../../src/core/errors.ts";
import type { Device } from "../../src/ops/device.ts";
import type { Conv2dOptions } from "../../src/ops/ops.ts";
import { quantize } from "../../src/quant/blocks.ts";
import {
  assertClose,
  assertTensorClose,
  asWeight,
  devices,
  randomTensor,
  runOps,
  setUp,
  tensor,
  type TestDevice,
  type TestTensor,
} from "../testing.ts";
import { activations, asBytes } from "./activations.ts";
import { reference } from "./parity.ts";

const FORMATS = ["q8", "q4"] as const;
/** Of the largest result: float32 sums over groups. */
const TOLERANCE = 2e-6;
/** Root mean square of what eight bits cost activations, over that of the result. */
const ACTIVATION_ERROR = 0.015;
/** The same of what weights and activations cost together. */
const WEIGHT_ERROR = { q8: 0.015, q4: 0.12 } as const;
/** Of attention with queries, keys and values that are quantised products. */
const ATTENTION_ERROR = 0.03;
/** Size of the picture, channels, outputs, options; filters of 3 x 3. */
const CONVOLUTIONS: readonly (readonly [
  readonly [number, number],
  number,
  number,
  Conv2dOptions,
])[] = [
  [[9, 7], 64, 11, {
    stride: [1, 1],
    padding: { top: 1, bottom: 1, left: 1, right: 1 },
  }],
  [[10, 3], 32, 8, {
    stride: [2, 2],
    padding: { top: 0, bottom: 1, left: 1, right: 0 },
  }],
  [[3, 3], 96, 5, {
    stride: [1, 1],
    padding: { top: 0, bottom: 0, left: 0, right: 0 },
  }],
];
const ROWS = [1, 2, 3, 4, 5, 9, 65];
const OUTPUTS = [1, 7, 8, 9, 33];
const WIDTHS = [32, 64, 96, 2048];

/** Root mean square of the difference over that of what is wanted. */
function relativeError(found: TestTensor, wanted: TestTensor): number {
  let error = 0, norm = 0;
  wanted.data.forEach((value, i) => {
    error += (found.data[i]! - value) ** 2;
    norm += value ** 2;
  });
  return Math.sqrt(error / norm);
}

function largest(x: TestTensor): number {
  return x.data.reduce((m, value) => Math.max(m, Math.abs(value)), 0);
}

/** A row in two products: the same by the bit, but on a GPU another kernel may sum it. */
function assertSameRow(
  target: TestDevice,
  found: Float32Array,
  wanted: Float32Array,
): void {
  if (target.kind === "wasm") {
    assert.deepEqual(found, wanted);
    return;
  }
  const atol = TOLERANCE * largest({ shape: [wanted.length], data: wanted });
  assertClose(found, wanted, { rtol: 0, atol, label: "row" });
}

function matrix(outputs: number, width: number): TestTensor {
  return randomTensor([outputs, width], { seed: outputs });
}

const others = (await devices()).slice(1);

for (const target of others) {
  for (const format of FORMATS) {
    const product = (x: TestTensor, w: TestTensor, on = target) =>
      runOps(on, {
        weights: { w: asWeight("matrix", w, format) },
        record: ({ ops, weights, upload }) => ops.matmul(upload(x), weights.w),
      });

    test(`matmul of ${format} on ${target.name} is exact over what it multiplies by`, async () => {
      const sizes = [
        ...ROWS.map((rows) => [rows, 96, 33] as const),
        ...OUTPUTS.map((outputs) => [5, 64, outputs] as const),
        ...WIDTHS.map((width) => [3, width, 9] as const),
        [66, 2048, 520] as const,
      ];
      for (const [rows, width, outputs] of sizes) {
        const x = randomTensor([rows, width], { seed: width });
        const w = matrix(outputs, width);
        const expected = await product(activations(x, target), w, reference);
        assertTensorClose(await product(x, w), expected, {
          atol: TOLERANCE * largest(expected),
          label: `${rows} x ${width} x ${outputs}`,
        });
      }
    });

    test(`matmul of ${format} on ${target.name} is close to exact activations`, async () => {
      const x = randomTensor([1, 2048], { seed: 1 });
      const w = matrix(512, 2048);
      const [actual, expected] = [
        await product(x, w),
        await product(x, w, reference),
      ];
      const relative = relativeError(actual, expected);
      assert.ok(relative > 0 && relative < ACTIVATION_ERROR, `${relative}`);
    });

    test(`rows of ${format} on ${target.name} do not depend on each other`, async () => {
      const [rows, width, outputs] = [70, 160, 21];
      const x = randomTensor([rows, width], { seed: 3 });
      const w = matrix(outputs, width);
      const all = await product(x, w);
      // On a GPU a row alone meets them as it is.
      const met = target.kind === "wasm" ? x : activations(x, target);
      for (const row of [0, 3, 64, 68, 69]) {
        const data = met.data.subarray(row * width, (row + 1) * width);
        const alone = await product({ shape: [1, width], data }, w);
        const first = row * outputs;
        const wanted = all.data.slice(first, first + outputs);
        assertSameRow(target, alone.data, wanted);
      }
    });

    test(`products of ${format} on ${target.name} share the bytes of their rows`, async () => {
      const x = randomTensor([2, 5, 64], { seed: 5 });
      const [a, b] = [matrix(9, 64), matrix(17, 64)];
      const found = await runOps(target, {
        weights: {
          a: asWeight("matrix", a, format),
          b: asWeight("matrix", b, format),
        },
        record: ({ ops, weights, upload }) => {
          const all = upload(x);
          const parts = [0, 1].map((i) => ops.at(all, i));
          return ops.concatColumns([
            ops.matmul(parts[0]!, weights.a),
            ops.matmul(parts[1]!, weights.a),
            ops.matmul(parts[0]!, weights.b),
            ops.matmul(parts[1]!, weights.b),
          ]);
        },
      });
      let column = 0;
      for (const w of [a, b]) {
        const outputs = w.shape[0]!;
        const wanted = await product(x, w);
        for (let i = 0; i < 2; i++) {
          for (let row = 0; row < 5; row++) {
            const first = row * found.shape[1]! + column;
            assertSameRow(
              target,
              found.data.slice(first, first + outputs),
              wanted.data.slice((5 * i + row) * outputs).slice(0, outputs),
            );
          }
          column += outputs;
        }
      }
    });

    test(`embedding of ${format} on ${target.name} gives the values of the blocks`, async () => {
      const table = matrix(19, 96);
      const ids = Int32Array.of(18, 0, 7, 8, 18);
      const lookUp = (on: typeof target) =>
        runOps(on, {
          weights: { w: asWeight("matrix", table, format) },
          record: ({ ops, weights }) => ops.embedding(weights.w, ids, 1.5),
        });
      const expected = await lookUp(reference);
      assert.deepEqual(await lookUp(target), expected);
    });

    test(`pointwise convolution of ${format} on ${target.name} is a product`, async () => {
      const x = randomTensor([3, 5, 64], { seed: 7 });
      const w = { ...matrix(12, 64), shape: [12, 64, 1, 1] };
      const padding = { top: 0, bottom: 0, left: 0, right: 0 };
      const found = await runOps(target, {
        weights: { w: asWeight("conv2d", w, format) },
        record: ({ ops, weights, upload }) =>
          ops.conv2d(upload(x), weights.w, { stride: [1, 1], padding }),
      });
      assert.deepEqual(found.data, (await product(x, matrix(12, 64))).data);
    });

    const convolution = (
      x: TestTensor,
      w: TestTensor,
      options: Conv2dOptions,
      on = target,
      kept: WeightFormat = format,
    ) =>
      runOps(on, {
        weights: { w: asWeight("conv2d", w, kept) },
        record: ({ ops, weights, upload }) =>
          ops.conv2d(upload(x), weights.w, options),
      });

    test(`convolution of ${format} on ${target.name} is close to that of numbers`, async () => {
      for (const [size, channels, outputs, options] of CONVOLUTIONS) {
        const x = randomTensor([...size, channels], { seed: 3 });
        const w = randomTensor([outputs, channels, 3, 3], { seed: 4 });
        const wanted = await convolution(x, w, options, reference, "f32");
        for (const on of [reference, target]) {
          const found = await convolution(x, w, options, on);
          const error = relativeError(found, wanted);
          assert.ok(error < WEIGHT_ERROR[format], `${on.name}: ${error}`);
        }
      }
    });

    if (target.kind !== "wasm") continue;

    test(`convolution of ${format} on ${target.name} is exact over what it multiplies by`, async () => {
      for (const [size, channels, outputs, options] of CONVOLUTIONS) {
        const x = randomTensor([...size, channels], { seed: 3 });
        const w = randomTensor([outputs, channels, 3, 3], { seed: 4 });
        const expected = await convolution(asBytes(x), w, options, reference);
        assertTensorClose(await convolution(x, w, options), expected, {
          atol: TOLERANCE * largest(expected),
          label: `${size} x ${channels} x ${outputs}`,
        });
      }
    });
  }

  for (const format of FORMATS) {
    const product = (x: TestTensor, w: TestTensor, on = target) =>
      runOps(on, {
        weights: { w: asWeight("matrix", w, format) },
        record: ({ ops, weights, upload }) => ops.matmul(upload(x), weights.w),
      });

    test(`products of ${format} on ${target.name} may have no rows`, async () => {
      const none = tensor([0, 64], new Float32Array(0));
      const found = await product(none, matrix(9, 64));
      assert.deepEqual(found.shape, [0, 9]);
    });

    test(`blocks of a file give the same ${format} on ${target.name}`, async () => {
      const [width, outputs] = [96, 11];
      const x = randomTensor([2, width], { seed: 11 });
      const w = matrix(outputs, width);
      const dtype = FORMAT_BLOCKS[format]!;
      const bytes = quantize(w.data, dtype);
      await using device = await target.create();
      const spec = {
        name: "w",
        shape: w.shape,
        kind: "matrix",
        format,
      } as const;
      const weight = device.declareWeight(spec);
      const record = () =>
        device.ops.matmul(device.upload(x.data, x.shape), weight);
      device.plan(() => [record()]);
      await device.allocate();
      for (const [firstRow, rows] of [[0, 9], [9, 2]] as const) {
        const rowBytes = bytes.length / outputs;
        await device.writeWeight(weight, {
          firstRow,
          rows,
          dtype,
          bytes: bytes.subarray(
            firstRow * rowBytes,
            (firstRow + rows) * rowBytes,
          ),
        });
      }
      const [found] = await device.read([record()]);
      assert.deepEqual(found, (await product(x, w)).data);
    });

    test(`bad values are refused for ${format} on ${target.name}`, async () => {
      const x = tensor([1, 64], new Float32Array(64));
      for (const bad of [NaN, Infinity, 1e30]) {
        const w = tensor([1, 64], new Float32Array(64));
        w.data[40] = bad;
        for (const on of [reference, target]) {
          await assert.rejects(
            product(x, w, on),
            (error) => error instanceof CheckpointError && error.tensor === "w",
          );
        }
      }
    });
  }

  test(`attention of quantised products on ${target.name} is close to that of numbers`, async () => {
    for (const [rows, heads, width, keys] of [[5, 12, 64, 36], [2, 3, 32, 9]]) {
      const x = randomTensor([rows! * heads!, 96], { seed: 1, scale: 2 });
      const memory = randomTensor([keys!, 96], { seed: 2 });
      const attend = (on: TestDevice, format: WeightFormat) =>
        runOps(on, {
          weights: {
            q: asWeight("matrix", matrix(width!, 96), format),
            k: asWeight(
              "matrix",
              randomTensor([width!, 96], { seed: 5 }),
              format,
            ),
            v: asWeight(
              "matrix",
              randomTensor([width!, 96], { seed: 6 }),
              format,
            ),
          },
          record: ({ ops, weights, upload }) => {
            const q = ops.matmul(upload(x), weights.q);
            return ops.multiQueryAttention(
              ops.reshape(q, [rows!, heads!, width!]),
              ops.matmul(upload(memory), weights.k),
              ops.matmul(upload(memory), weights.v),
              { heads: heads!, scale: 0.05 },
            );
          },
        });
      const error = relativeError(
        await attend(target, "q8"),
        await attend(reference, "f32"),
      );
      assert.ok(error > 0 && error < ATTENTION_ERROR, `${error}`);
    }
  });

  test(`quantised weights on ${target.name} must be matrices of whole groups`, async () => {
    await using device = await target.create();
    const declare =
      (spec: Omit<Parameters<Device["declareWeight"]>[0], "name">) => () =>
        device.declareWeight({ name: "w", ...spec });
    for (
      const spec of [
        { kind: "matrix", shape: [8, 40], format: "q8" },
        { kind: "vector", shape: [64], format: "q8" },
        { kind: "conv2d", shape: [8, 31, 3, 3], format: "q4" },
        { kind: "depthwiseConv2d", shape: [32, 1, 3, 3], format: "q8" },
      ] as const
    ) {
      assert.throws(declare(spec), InputError);
    }
  });

  test(`blocks of another format are refused on ${target.name}`, async () => {
    const w = matrix(8, 64);
    const setup = await setUp(target, {
      weights: { w: asWeight("matrix", w, "q8") },
      plan: () => {},
    });
    await using device = setup.device;
    await assert.rejects(
      device.writeWeight(setup.weights.w, {
        firstRow: 0,
        rows: 8,
        dtype: "q4_0",
        bytes: quantize(w.data, "q4_0"),
      }),
      InputError,
    );
  });
}
