// Pictures of several tiles, and of more places than a row of a grid starts
// workgroups; small ones are in tests/ops/.
import { test } from "node:test";
import type { Conv2dOptions } from "../../../src/ops/ops.ts";
import { reference } from "../../ops/parity.ts";
import {
  assertTensorClose,
  asWeight,
  devices,
  randomTensor,
  runOps,
  type RunOptions,
  type TestWeight,
} from "../../testing.ts";

/** Sums of up to 576 products, or weighted means of 700 values below 1. */
const TOLERANCE = { rtol: 1e-5, atol: 5e-6 };
const EXACT = { rtol: 0, atol: 0 };

const webgpu = (await devices()).filter(({ kind }) => kind === "webgpu");

function testLarge<W extends Record<string, TestWeight>>(
  label: string,
  tolerance: typeof TOLERANCE,
  options: RunOptions<W>,
): void {
  for (const target of webgpu) {
    test(`${label} on ${target.name} matches the reference`, async () => {
      const expected = await runOps(reference, options);
      const actual = await runOps(target, options);
      assertTensorClose(actual, expected, { ...tolerance, label });
    });
  }
}

/** Channels of a vector load, and of single ones. */
for (const channels of [64, 3]) {
  const conv: Conv2dOptions = {
    stride: [2, 1],
    padding: { top: 0, bottom: 1, left: 1, right: 1 },
  };
  const shape = [130, channels, 3, 3];
  const scale = 1 / Math.sqrt(9 * channels);
  const w = asWeight("conv2d", randomTensor(shape, { seed: 1, scale }));
  const x = randomTensor([33, 19, channels], { seed: 2 });
  testLarge(`conv2d of ${channels} channels`, TOLERANCE, {
    weights: { w },
    record: ({ ops, weights, upload }) =>
      ops.conv2d(upload(x), weights.w, conv),
  });
}

/** Heads as wide as the real ones, of no whole vectors, and with few values at a time. */
const HEADS = [[70, 64], [70, 96], [70, 50], [5, 400]] as const;

for (const [rows, width] of HEADS) {
  const q = randomTensor([rows, 3, width], { seed: 1, scale: 4 });
  const k = randomTensor([700, width], { seed: 2 });
  const v = randomTensor([700, width], { seed: 3 });
  const options = { heads: 3, scale: 1 / Math.sqrt(width) };
  testLarge(`multiQueryAttention of heads of ${width}`, TOLERANCE, {
    record: ({ ops, upload }) =>
      ops.multiQueryAttention(upload(q), upload(k), upload(v), options),
  });
}

const wide = randomTensor([3, 5, 1], { seed: 1 });
testLarge("resizeNearest to 4.2 million places", EXACT, {
  record: ({ ops, upload }) => ops.resizeNearest(upload(wide), [2100, 2003]),
});
