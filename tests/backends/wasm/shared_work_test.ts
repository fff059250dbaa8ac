// Chunks that are taken together are computed as one piece: the same bits however
// many threads take some, and whatever scratch they need.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { WeightFormat } from "../../../src/core/dtype.ts";
import {
  asWeight,
  createThreadedDevice,
  randomTensor,
  runOps,
  type RunOptions,
  type TestTensor,
  type TestWeight,
} from "../../testing.ts";

/** One thread computes a command whole, others so many shares. */
const THREADS: readonly number[] = [1, 2, 3, 5];

async function sameBits<W extends Record<string, TestWeight>>(
  options: RunOptions<W>,
  label: string,
): Promise<void> {
  let wanted: TestTensor | undefined;
  for (const threads of THREADS) {
    const create = () => createThreadedDevice(threads);
    const found = await runOps({ name: "wasm", kind: "wasm", create }, options);
    assert.ok(found.data.some((x) => x !== 0), `${label}: all zeros`);
    wanted ??= found;
    assert.deepEqual(found, wanted, `${label} on ${threads} threads`);
  }
}

for (const format of ["f32", "q8", "q4"] satisfies WeightFormat[]) {
  test(`products of ${format} are the same bits on any number of threads`, async () => {
    // 126 tiles: pairs, and a tile that is not whole.
    const w = randomTensor([1003, 512], { seed: 1 });
    for (const rows of [1, 4, 33, 70]) {
      const x = randomTensor([rows, 512], { seed: rows });
      await sameBits({
        weights: { w: asWeight("matrix", w, format) },
        record: ({ ops, weights, upload }) => ops.matmul(upload(x), weights.w),
      }, `${rows} rows`);
    }
  });

  test(`convolutions of ${format} are the same bits on any number of threads`, async () => {
    const x = randomTensor([31, 37, 32], { seed: 2 });
    const w = randomTensor([19, 32, 3, 3], { seed: 3 });
    const padding = { top: 1, bottom: 1, left: 1, right: 1 };
    await sameBits({
      weights: { w: asWeight("conv2d", w, format) },
      record: ({ ops, weights, upload }) =>
        ops.conv2d(upload(x), weights.w, { stride: [1, 1], padding }),
    }, "conv2d");
  });
}

test("a row of a sparse layer is the same bits on any number of threads", async () => {
  const [F, D] = [2051, 96];
  const up = asWeight("matrix", randomTensor([F, D], { seed: 4 }), "q4");
  const down = asWeight("matrix", randomTensor([D, F - 3], { seed: 5 }), "q4");
  const x = randomTensor([1, D], { seed: 6 });
  const gates = randomTensor([1, F], { seed: 7 });
  const gate = { ...gates, data: gates.data.map((g) => Math.max(0, g - 0.6)) };
  await sameBits({
    weights: {
      up: { ...up, sparseOutput: true },
      down: { ...down, sparseInput: true },
    },
    record({ ops, weights, upload }) {
      const hidden = ops.gatedMatmul(upload(x), weights.up, upload(gate));
      return ops.matmul(ops.columns(hidden, 0, F - 3), weights.down);
    },
  }, "gatedMatmul and matmul");
});
