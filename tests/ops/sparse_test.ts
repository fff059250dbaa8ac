// What sparse layers leave out: products that a closed gate or a zero would
// take nothing from. Results are the same bits as without leaving out.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FORMAT_BLOCKS } from "../../src/core/dtype.ts";
import { InputError } from "../../src/core/errors.ts";
import type { WeightFormat } from "../../src/core/dtype.ts";
import { quantize } from "../../src/quant/blocks.ts";
import {
  assertTensorClose,
  asWeight,
  devices,
  randomTensor,
  runOps,
  type TestDevice,
  type TestTensor,
} from "../testing.ts";
import { reference } from "./parity.ts";

const FORMATS = ["f32", "q8", "q4"] as const;
/** Of values; quantised activations are off by as much as `quantized_test.ts` allows. */
const TOLERANCES: Readonly<Record<WeightFormat, number>> = {
  f32: 1e-5,
  q8: 0.02,
  q4: 0.02,
};
/** Around a tile of 8, a part of a panel of 256 outputs, and a panel of 1024. */
const OUTPUTS = [1, 7, 8, 9, 255, 257, 600, 1023, 1025, 2100];
const ROWS = [1, 2, 5, 64, 65, 130];
/** Rows and width: fewer than eight groups, as many, and more. */
const GATED_SIZES = [[1, 96], [2, 96], [5, 96], [1, 256], [65, 288]] as const;
/** Of gated products on a GPU; one in software takes nearly a second for each. */
const GPU_OUTPUTS = [7, 257];

/** Values of which so many in a hundred are not zero. */
function sparseTensor(
  shape: readonly number[],
  percent: number,
  seed: number,
): TestTensor {
  const x = randomTensor(shape, { seed });
  const kept = randomTensor(shape, { seed: seed + 1 });
  kept.data.forEach((k, i) => {
    if (k * 50 + 50 >= percent) x.data[i] = 0;
  });
  return x;
}

/** The product with a weight laid out for sparse rows, or not. */
function product(
  target: TestDevice,
  x: TestTensor,
  w: TestTensor,
  format: WeightFormat,
  sparseInput: boolean,
): Promise<TestTensor> {
  const weight = { ...asWeight("matrix", w, format), sparseInput };
  return runOps(target, {
    weights: { w: weight },
    record: ({ ops, weights, upload }) => ops.matmul(upload(x), weights.w),
  });
}

for (const target of (await devices()).slice(1)) {
  const gatedOutputs = target.kind === "webgpu" ? GPU_OUTPUTS : OUTPUTS;
  for (const format of FORMATS) {
    test(`matmul of sparse rows in ${format} on ${target.name} is the same as of others`, async () => {
      const sizes = [
        ...OUTPUTS.map((outputs) => [1, 96, outputs] as const),
        ...ROWS.map((rows) => [rows, 64, 300] as const),
        [5, 64, 1290] as const,
        [1, 32, 9] as const,
        [1, 2048, 130] as const,
      ];
      for (const [rows, width, outputs] of sizes) {
        const w = randomTensor([outputs, width], { seed: outputs });
        for (const percent of [0, 5, 30, 100]) {
          const x = sparseTensor([rows, width], percent, width);
          assert.deepEqual(
            await product(target, x, w, format, true),
            await product(target, x, w, format, false),
            `${rows} x ${width} x ${outputs}, ${percent} %`,
          );
        }
      }
    });

    test(`gatedMatmul of ${format} on ${target.name} is geluMul of the product`, async () => {
      for (const [rows, width] of GATED_SIZES) {
        for (const outputs of gatedOutputs) {
          const x = randomTensor([rows, width], { seed: rows });
          const gate = sparseTensor([rows, outputs], 20, outputs);
          const w = randomTensor([outputs, width], { seed: outputs });
          const plain = { w: asWeight("matrix", w, format) };
          const weights = { w: { ...plain.w, sparseOutput: true } };
          const gated = (on: TestDevice) =>
            runOps(on, {
              weights,
              record: ({ ops, weights, upload }) =>
                ops.gatedMatmul(upload(x), weights.w, upload(gate)),
            });
          const apart = await runOps(target, {
            weights: plain,
            record: ({ ops, weights, upload }) =>
              ops.geluMul(upload(gate), ops.matmul(upload(x), weights.w)),
          });
          const found = await gated(target);
          const label = `${rows} rows, ${outputs} outputs`;
          // 0 times a negative number is -0 where nothing is left out.
          assert.deepEqual(
            found.data.map((v) => v + 0),
            apart.data.map((v) => v + 0),
            label,
          );
          const expected = await gated(reference);
          const atol = TOLERANCES[format] *
            expected.data.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
          assertTensorClose(found, expected, { atol, label });
        }
      }
    });
  }

  test(`gatedMatmul on ${target.name} passes NaN on`, async () => {
    const x = randomTensor([1, 64], { seed: 1 });
    x.data[3] = NaN;
    const gate = randomTensor([1, 9], { seed: 2 });
    const w = {
      ...asWeight("matrix", randomTensor([9, 64], { seed: 3 }), "q4"),
      sparseOutput: true,
    };
    const found = await runOps(target, {
      weights: { w },
      record: ({ ops, weights, upload }) =>
        ops.gatedMatmul(upload(x), weights.w, upload(gate)),
    });
    assert.ok(found.data.every(Number.isNaN), `${found.data}`);
  });

  test(`blocks of a file give the same sparse products on ${target.name}`, async () => {
    const [outputs, width] = [280, 64];
    const w = randomTensor([outputs, width], { seed: 1 });
    const x = sparseTensor([1, width], 20, 2);
    for (const format of ["q8", "q4"] as const) {
      const dtype = FORMAT_BLOCKS[format]!;
      const bytes = quantize(w.data, dtype);
      await using device = await target.create();
      const weight = device.declareWeight({
        name: "w",
        shape: w.shape,
        kind: "matrix",
        format,
        sparseInput: true,
      });
      const record = () =>
        device.ops.matmul(device.upload(x.data, x.shape), weight);
      device.plan(() => [record()]);
      await device.allocate();
      const rowBytes = bytes.length / outputs;
      for (const [firstRow, rows] of [[0, 5], [5, 270], [275, 5]] as const) {
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
      const wanted = await product(target, x, w, format, false);
      assert.deepEqual(found, wanted.data);
    }
  });

  test(`rows of a weight for sparse products cannot be looked up on ${target.name}`, async () => {
    const w = randomTensor([9, 64], { seed: 1 });
    await assert.rejects(
      runOps(target, {
        weights: { w: { ...asWeight("matrix", w, "q8"), sparseInput: true } },
        record: ({ ops, weights }) =>
          ops.embedding(weights.w, Int32Array.of(1), 1),
      }),
      InputError,
    );
  });
}
