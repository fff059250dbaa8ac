import { test } from "node:test";
import {
  assertTensorClose,
  asWeight,
  randomTensor,
  runOps,
  tensor,
} from "../testing.ts";
import {
  golden,
  parityCase,
  reference,
  SIZES,
  testGolden,
  testParity,
} from "./parity.ts";

/** The sum of 2048 squares in float32, then a few roundings. */
const TOLERANCE = { rtol: 2e-6, atol: 1e-7 };

testGolden("rmsNorm", {
  weights: { weight: asWeight("vector", golden("rmsNorm", "weight")) },
  record: ({ ops, weights, upload }) =>
    ops.rmsNorm(upload(golden("rmsNorm", "x")), weights.weight, 1e-6),
});

test("rmsNorm on the reference adds eps, and works without a weight", async () => {
  const actual = await runOps(reference, {
    record: ({ ops, upload }) =>
      ops.rmsNorm(upload(tensor([2, 1, 2], [3, 4, 0, 0])), undefined, 3.5),
  });
  const expected = tensor([2, 1, 2], [0.75, 1, 0, 0]);
  assertTensorClose(actual, expected, { rtol: 1e-7, label: "rmsNorm" });
});

testParity("rmsNorm", TOLERANCE, [
  ...SIZES.map((width) => {
    const x = randomTensor([3, width], { seed: width, scale: 5 });
    const weight = randomTensor([width], { seed: width + 1 });
    return parityCase(`width ${width}`, {
      weights: { weight: asWeight("vector", weight) },
      record: ({ ops, weights, upload }) =>
        ops.rmsNorm(upload(x), weights.weight, 1e-6),
    });
  }),
  ...SIZES.map((width) =>
    parityCase(`width ${width}, no weight, three dimensions`, {
      record: ({ ops, upload }) => {
        const x = randomTensor([2, 3, width], { seed: width, scale: 1e-3 });
        return ops.rmsNorm(upload(x), undefined, 1e-6);
      },
    })
  ),
]);
