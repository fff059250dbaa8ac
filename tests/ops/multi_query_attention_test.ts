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

/** Scores of 64 products, exponentials, a weighted mean of 2048 values below 1. */
const TOLERANCE = { rtol: 1e-5, atol: 2e-6 };

testGolden("multiQueryAttention", {
  record: ({ ops, upload }) => {
    const [q, k, v] = ["q", "k", "v"].map((key) =>
      upload(golden("multiQueryAttention", key))
    );
    const options = { heads: 3, scale: 5 ** -0.5 };
    return ops.multiQueryAttention(q!, k!, v!, options);
  },
});

test("multiQueryAttention on the reference stays finite at large scores", async () => {
  const actual = await runOps(reference, {
    record: ({ ops, upload }) =>
      ops.multiQueryAttention(
        upload(tensor([1, 2, 1], [1000, -1000])),
        upload(tensor([2, 1], [1, -1])),
        upload(tensor([2, 1], [3, 5])),
        { heads: 2, scale: 1 },
      ),
  });
  const expected = tensor([1, 2, 1], [3, 5]);
  assertTensorClose(actual, expected, { label: "multiQueryAttention" });
});

function mqaCase(rows: number, heads: number, keys: number, width: number) {
  const q = randomTensor([rows, heads, width], { seed: 1, scale: 2 });
  const k = randomTensor([keys, width], { seed: 2 });
  const v = randomTensor([keys, width], { seed: 3 });
  const options = { heads, scale: 1 / Math.sqrt(width) };
  return parityCase(`${rows} rows, ${heads} heads of ${width}, ${keys} keys`, {
    record: ({ ops, upload }) =>
      ops.multiQueryAttention(upload(q), upload(k), upload(v), options),
  });
}

testParity("multiQueryAttention", TOLERANCE, [
  ...SIZES.map((keys) => mqaCase(3, 2, keys, 16)),
  // A GPU compiles a kernel for each width.
  ...[1, 3, 4, 6, 33, 64].map((width) => mqaCase(5, 3, 9, width)),
  mqaCase(65, 8, 65, 4),
  mqaCase(256, 2, 64, 64),
]);
