import { test } from "node:test";
import {
  assertTensorClose,
  asWeight,
  randomTensor,
  runOps,
  tensor,
} from "../testing.ts";
import { parityCase, reference, SIZES, testParity } from "./parity.ts";

/** Results are below 1 in magnitude or so: weights shrink with the width. */
const TOLERANCE = { rtol: 1e-5, atol: 5e-6 };

test("matmul on the reference multiplies by the transposed matrix", async () => {
  const x = tensor([2, 3], [1, 2, 3, 4, 5, 6]);
  const w = asWeight("matrix", tensor([2, 3], [1, 0, -1, 2, 1, 0.5]));
  const actual = await runOps(reference, {
    weights: { w },
    record: ({ ops, weights, upload }) => ops.matmul(upload(x), weights.w),
  });
  const expected = tensor([2, 2], [-2, 5.5, -2, 16]);
  assertTensorClose(actual, expected, { label: "matmul" });
});

function matmulCase(shape: number[], outputs: number) {
  const width = shape.at(-1)!;
  const x = randomTensor(shape, { seed: width });
  const w = asWeight(
    "matrix",
    randomTensor([outputs, width], {
      seed: outputs,
      scale: 1 / Math.sqrt(width),
    }),
  );
  return parityCase(`x [${shape}], ${outputs} outputs`, {
    weights: { w },
    record: ({ ops, weights, upload }) => ops.matmul(upload(x), weights.w),
  });
}

testParity("matmul", TOLERANCE, [
  ...SIZES.map((width) => matmulCase([3, width], 5)),
  ...SIZES.map((outputs) => matmulCase([2, 33], outputs)),
  ...SIZES.slice(0, -1).map((rows) => matmulCase([rows, 65], 9)),
  matmulCase([65, 2048], 33),
  matmulCase([40], 7),
  matmulCase([2, 3, 5], 4),
  matmulCase([0, 8], 4),
]);
