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

/** Sums of up to five products. */
const TOLERANCE = { rtol: 1e-6, atol: 1e-6 };

testGolden("depthwiseConv1d", {
  weights: {
    w: asWeight("depthwiseConv1d", golden("depthwiseConv1d", "w")),
  },
  record: ({ ops, weights, upload }) =>
    ops.depthwiseConv1d(upload(golden("depthwiseConv1d", "x")), weights.w),
});

test("depthwiseConv1d on the reference sees no later row", async () => {
  const actual = await runOps(reference, {
    weights: { w: asWeight("depthwiseConv1d", tensor([1, 1, 2], [10, 1])) },
    record: ({ ops, weights, upload }) =>
      ops.depthwiseConv1d(upload(tensor([3, 1], [1, 2, 3])), weights.w),
  });
  const expected = tensor([3, 1], [1, 12, 23]);
  assertTensorClose(actual, expected, { label: "depthwiseConv1d" });
});

function convCase(rows: number, width: number, taps: number) {
  const x = randomTensor([rows, width], { seed: width });
  const w = randomTensor([width, 1, taps], { seed: taps });
  return parityCase(`[${rows},${width}], ${taps} taps`, {
    weights: { w: asWeight("depthwiseConv1d", w) },
    record: ({ ops, weights, upload }) =>
      ops.depthwiseConv1d(upload(x), weights.w),
  });
}

testParity("depthwiseConv1d", TOLERANCE, [
  ...SIZES.map((width) => convCase(7, width, 5)),
  ...SIZES.slice(0, -1).map((rows) => convCase(rows, 9, 5)),
  ...[1, 2, 3, 4, 6].map((taps) => convCase(3, 33, taps)),
]);
