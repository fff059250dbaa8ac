// avgPool2d, resizeNearest, resizeBilinear.
import { test } from "node:test";
import { assertTensorClose, randomTensor, runOps, tensor } from "../testing.ts";
import {
  golden,
  parityCase,
  reference,
  testGolden,
  testParity,
} from "./parity.ts";

/** A mean of nine values, or of four with weights. */
const TOLERANCE = { rtol: 1e-6, atol: 1e-6 };
/** Copies round nothing. */
const EXACT = { rtol: 0, atol: 0 };

testGolden("avgPool2d", {
  record: ({ ops, upload }) =>
    ops.avgPool2d(upload(golden("avgPool2d", "x")), [2, 3]),
});

const GOLDEN_SIZES = { Up: [8, 11], Down: [2, 4] } as const;

for (const direction of ["Up", "Down"] as const) {
  for (const op of ["resizeNearest", "resizeBilinear"] as const) {
    const name = `${op}${direction}`;
    testGolden(name, {
      record: ({ ops, upload }) =>
        ops[op](upload(golden(name, "x")), GOLDEN_SIZES[direction]),
    });
  }
}

test("resizeBilinear on the reference uses half-pixel centres", async () => {
  const actual = await runOps(reference, {
    record: ({ ops, upload }) =>
      ops.resizeBilinear(upload(tensor([1, 2, 1], [0, 1])), [1, 4]),
  });
  const expected = tensor([1, 4, 1], [0, 0.25, 0.75, 1]);
  assertTensorClose(actual, expected, { label: "resizeBilinear" });
});

const CHANNELS = [1, 3, 4, 5, 7, 8, 9, 31, 33, 63, 65];

testParity(
  "avgPool2d",
  TOLERANCE,
  CHANNELS.flatMap((channels) =>
    ([[1, 1], [3, 3], [2, 1], [1, 3]] as const).map((size) => {
      const x = randomTensor([6, 9, channels], { seed: 1 });
      return parityCase(`${channels} channels, blocks of ${size}`, {
        record: ({ ops, upload }) => ops.avgPool2d(upload(x), size),
      });
    })
  ),
);

for (
  const [op, tolerance] of [
    ["resizeNearest", EXACT],
    ["resizeBilinear", TOLERANCE],
  ] as const
) {
  testParity(
    op,
    tolerance,
    CHANNELS.flatMap((channels) =>
      ([[10, 14], [16, 16], [2, 3], [1, 1], [5, 7]] as const).map((size) => {
        const x = randomTensor([5, 7, channels], { seed: channels });
        return parityCase(`${channels} channels, 5,7 to ${size}`, {
          record: ({ ops, upload }) => ops[op](upload(x), size),
        });
      })
    ),
  );
}
