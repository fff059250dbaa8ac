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

/** Running sums of 130000 values in float32 or better. */
const TOLERANCE = { rtol: 1e-5, atol: 5e-6 };

testGolden("cumulativeGroupNorm", {
  weights: {
    weight: asWeight("vector", golden("cumulativeGroupNorm", "weight")),
  },
  record: ({ ops, weights, upload }) =>
    ops.cumulativeGroupNorm(
      upload(golden("cumulativeGroupNorm", "x")),
      weights.weight,
      1e-3,
    ),
});

test("cumulativeGroupNorm on the reference keeps running statistics", async () => {
  const actual = await runOps(reference, {
    weights: { weight: asWeight("vector", tensor([1], [2])) },
    record: ({ ops, weights, upload }) =>
      ops.cumulativeGroupNorm(
        upload(tensor([2, 2, 1], [1, 3, 6, 6])),
        weights.weight,
        0,
      ),
  });
  // Means 2 and 4. Row 0 adds 1 + 1 about its mean, row 1 adds 4 + 4 about
  // its own: the variances are 2 / 2 and 10 / 4.
  const second = 2 * 2 / Math.sqrt(2.5);
  const expected = tensor([2, 2, 1], [-2, 2, second, second]);
  assertTensorClose(actual, expected, { rtol: 1e-7, label: "group norm" });
});

function normCase(rows: number, bands: number, channels: number) {
  const x = randomTensor([rows, bands, channels], { seed: rows, scale: 3 });
  const weight = randomTensor([channels], { seed: channels });
  return parityCase(`[${rows},${bands},${channels}]`, {
    weights: { weight: asWeight("vector", weight) },
    record: ({ ops, weights, upload }) =>
      ops.cumulativeGroupNorm(upload(x), weights.weight, 1e-3),
  });
}

testParity("cumulativeGroupNorm", TOLERANCE, [
  ...SIZES.map((channels) => normCase(3, 4, channels)),
  ...SIZES.slice(0, -1).map((rows) => normCase(rows, 5, 7)),
  normCase(65, 64, 32),
  normCase(4, 1, 9),
]);
