import { test } from "node:test";
import { assertTensorClose, randomTensor, runOps, tensor } from "../testing.ts";
import {
  golden,
  parityCase,
  reference,
  SIZES,
  testGolden,
  testParity,
} from "./parity.ts";

/** The cutoff is a sum of 2048 values in float32; what is above it may be small. */
const SPARSITY_TOLERANCE = { rtol: 1e-6, atol: 2e-6 };
const MAGNITUDE_TOLERANCE = { rtol: 2e-6, atol: 1e-7 };

/** Multiplier of activation sparsity 0.8 and of 0.95. */
const MULTIPLIERS = [0.8416212797164917, 1.6448535919189453];

testGolden("gaussianTopK", {
  record: ({ ops, upload }) =>
    ops.gaussianTopK(upload(golden("gaussianTopK", "x")), MULTIPLIERS[0]!),
});

test("gaussianTopK on the reference uses the biased deviation", async () => {
  const actual = await runOps(reference, {
    record: ({ ops, upload }) =>
      ops.gaussianTopK(upload(tensor([1, 4], [0, 0, 4, 4.5])), 0),
  });
  const expected = tensor([1, 4], [0, 0, 4 - 2.125, 4.5 - 2.125]);
  assertTensorClose(actual, expected, { label: "multiplier 0" });
  // Mean 2, deviation 2 (unbiased: 2.309), so the cutoff is 3.
  const biased = await runOps(reference, {
    record: ({ ops, upload }) =>
      ops.gaussianTopK(upload(tensor([1, 4], [0, 0, 4, 4])), 0.5),
  });
  assertTensorClose(biased, tensor([1, 4], [0, 0, 1, 1]), { label: "0.5" });
});

testParity(
  "gaussianTopK",
  SPARSITY_TOLERANCE,
  SIZES.flatMap((width) =>
    MULTIPLIERS.map((multiplier) => {
      const x = randomTensor([3, width], { seed: width, scale: 3 });
      return parityCase(`width ${width}, multiplier ${multiplier}`, {
        record: ({ ops, upload }) => ops.gaussianTopK(upload(x), multiplier),
      });
    })
  ),
);

testGolden("matchMagnitude", {
  record: ({ ops, upload }) =>
    ops.matchMagnitude(
      upload(golden("matchMagnitude", "x")),
      upload(golden("matchMagnitude", "target")),
      1e-5,
    ),
});

test("matchMagnitude on the reference bounds the mean square from below", async () => {
  const actual = await runOps(reference, {
    record: ({ ops, upload }) =>
      ops.matchMagnitude(
        upload(tensor([2, 2], [0.5, 0.5, 0, 0])),
        upload(tensor([2, 2], [6, 6, 1, 1])),
        4,
      ),
  });
  // The mean square 0.25 is below 4, so the factor is 6 / 2.
  const expected = tensor([2, 2], [1.5, 1.5, 0, 0]);
  assertTensorClose(actual, expected, { label: "matchMagnitude" });
});

testParity(
  "matchMagnitude",
  MAGNITUDE_TOLERANCE,
  SIZES.map((width) => {
    const x = randomTensor([2, 2, width], { seed: width });
    const target = randomTensor([2, 2, width], { seed: width + 1, scale: 9 });
    return parityCase(`width ${width}`, {
      record: ({ ops, upload }) =>
        ops.matchMagnitude(upload(x), upload(target), 1e-5),
    });
  }),
);
