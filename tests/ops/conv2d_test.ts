// conv2d and depthwiseConv2d.
import { test } from "node:test";
import type { Conv2dOptions, Padding } from "../../src/ops/ops.ts";
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
  testGolden,
  testParity,
} from "./parity.ts";

/** Sums of up to 1600 products, with weights that keep them near 1. */
const TOLERANCE = { rtol: 1e-5, atol: 5e-6 };

/** The options the goldens were made with. */
const GOLDEN_OPTIONS: Conv2dOptions = {
  stride: [2, 1],
  padding: { top: 0, bottom: 1, left: 2, right: 1 },
};

testGolden("conv2d", {
  weights: { w: asWeight("conv2d", golden("conv2d", "w")) },
  record: ({ ops, weights, upload }) =>
    ops.conv2d(upload(golden("conv2d", "x")), weights.w, GOLDEN_OPTIONS),
});

testGolden("depthwiseConv2d", {
  weights: {
    w: asWeight("depthwiseConv2d", golden("depthwiseConv2d", "w")),
  },
  record: ({ ops, weights, upload }) =>
    ops.depthwiseConv2d(
      upload(golden("depthwiseConv2d", "x")),
      weights.w,
      GOLDEN_OPTIONS,
    ),
});

const NONE: Padding = { top: 0, bottom: 0, left: 0, right: 0 };

test("conv2d on the reference of one place is a matrix product", async () => {
  const actual = await runOps(reference, {
    weights: { w: asWeight("conv2d", tensor([2, 2, 1, 1], [1, 2, 3, 4])) },
    record: ({ ops, weights, upload }) =>
      ops.conv2d(upload(tensor([1, 2, 2], [1, 10, 2, 20])), weights.w, {
        stride: [1, 1],
        padding: NONE,
      }),
  });
  const expected = tensor([1, 2, 2], [21, 43, 42, 86]);
  assertTensorClose(actual, expected, { label: "conv2d" });
});

interface ConvCase {
  readonly size: readonly [number, number];
  readonly channels: number;
  readonly outputs: number;
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: Padding;
}

const SAME_3: Padding = { top: 1, bottom: 1, left: 1, right: 1 };
const SAME_5: Padding = { top: 2, bottom: 2, left: 2, right: 2 };
/** What TensorFlow's "same" adds to an even size at stride 2. */
const AFTER: Padding = { top: 0, bottom: 1, left: 0, right: 1 };

const CASES: readonly ConvCase[] = [
  ...[1, 3, 4, 5, 7, 8, 9, 31, 33].map((channels): ConvCase => ({
    size: [5, 7],
    channels,
    outputs: 5,
    kernel: [3, 3],
    stride: [1, 1],
    padding: SAME_3,
  })),
  ...[1, 3, 4, 7, 8, 9, 31, 33, 63, 65].map((outputs): ConvCase => ({
    size: [6, 5],
    channels: 3,
    outputs,
    kernel: [3, 3],
    stride: [2, 2],
    padding: AFTER,
  })),
  {
    size: [9, 13],
    channels: 64,
    outputs: 17,
    kernel: [5, 5],
    stride: [2, 2],
    padding: SAME_5,
  },
  {
    size: [12, 8],
    channels: 16,
    outputs: 33,
    kernel: [1, 1],
    stride: [1, 1],
    padding: NONE,
  },
  {
    size: [5, 5],
    channels: 6,
    outputs: 4,
    kernel: [5, 5],
    stride: [1, 1],
    padding: NONE,
  },
  {
    size: [31, 9],
    channels: 1,
    outputs: 4,
    kernel: [3, 3],
    stride: [2, 2],
    padding: { top: 0, bottom: 2, left: 1, right: 1 },
  },
  {
    size: [1, 1],
    channels: 3,
    outputs: 2,
    kernel: [3, 5],
    stride: [3, 1],
    padding: { top: 2, bottom: 0, left: 1, right: 3 },
  },
];

function labelOf(c: ConvCase): string {
  return `${c.size} x ${c.channels} to ${c.outputs}, kernel ${c.kernel}, ` +
    `stride ${c.stride}, padding ${Object.values(c.padding)}`;
}

testParity(
  "conv2d",
  TOLERANCE,
  CASES.map((c) => {
    const shape = [c.outputs, c.channels, ...c.kernel];
    const scale = 1 / Math.sqrt(c.channels * c.kernel[0] * c.kernel[1]);
    const w = randomTensor(shape, { seed: c.outputs, scale });
    const x = randomTensor([...c.size, c.channels], { seed: c.channels });
    return parityCase(labelOf(c), {
      weights: { w: asWeight("conv2d", w) },
      record: ({ ops, weights, upload }) => ops.conv2d(upload(x), weights.w, c),
    });
  }),
);

testParity(
  "depthwiseConv2d",
  TOLERANCE,
  CASES.map((c) => {
    const w = randomTensor([c.channels, 1, ...c.kernel], { seed: 5 });
    const x = randomTensor([...c.size, c.channels], { seed: c.channels });
    return parityCase(labelOf(c), {
      weights: { w: asWeight("depthwiseConv2d", w) },
      record: ({ ops, weights, upload }) =>
        ops.depthwiseConv2d(upload(x), weights.w, c),
    });
  }),
);
