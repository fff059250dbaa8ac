import { test } from "node:test";
import {
  assertTensorClose,
  randomTensor,
  runOps,
  tensor,
  type TestTensor,
} from "../testing.ts";
import {
  golden,
  parityCase,
  reference,
  testGolden,
  testParity,
} from "./parity.ts";

/** Scores of up to 192 products, a hyperbolic tangent, a weighted mean. */
const TOLERANCE = { rtol: 1e-5, atol: 5e-6 };

testGolden("relativeAttention", {
  record: ({ ops, upload }) => {
    const [q, k, v, positions, valid] = ["q", "k", "v", "positions", "valid"]
      .map((key) => upload(golden("relativeAttention", key)));
    const options = { heads: 2, past: 3, future: 2, softcap: 2 };
    return ops.relativeAttention(q!, k!, v!, positions!, valid!, options);
  },
});

test("relativeAttention on the reference gives zeros where nothing is seen", async () => {
  const x = tensor([4, 1, 1], [1, 2, 3, 4]);
  const actual = await runOps(reference, {
    record: ({ ops, upload }) =>
      ops.relativeAttention(
        upload(tensor([4, 1, 1], [0, 0, 0, 0])),
        upload(x),
        upload(x),
        upload(tensor([2, 1, 1], [5, 7])),
        upload(tensor([4], [0, 1, 0, 0])),
        { heads: 1, past: 1, future: 0, softcap: 50 },
      ),
  });
  const expected = tensor([4, 1, 1], [0, 2, 2, 0]);
  assertTensorClose(actual, expected, { label: "relativeAttention" });
});

interface LocalCase {
  readonly rows: number;
  readonly heads: number;
  readonly width: number;
  readonly past: number;
  readonly future: number;
  /** Frames that may not be seen. */
  readonly hidden?: readonly number[];
}

const CASES: readonly LocalCase[] = [
  ...[1, 3, 4, 5, 7, 8, 9, 31, 33, 63, 65].map((rows): LocalCase => ({
    rows,
    heads: 2,
    width: 6,
    past: 12,
    future: 0,
  })),
  ...[1, 3, 4, 5, 7, 8, 9, 31, 33, 192].map((width): LocalCase => ({
    rows: 9,
    heads: 3,
    width,
    past: 3,
    future: 2,
    hidden: [0, 5, 8],
  })),
  { rows: 33, heads: 4, width: 8, past: 0, future: 0 },
  { rows: 33, heads: 4, width: 8, past: 0, future: 4, hidden: [3, 4, 5, 6, 7] },
  { rows: 12, heads: 1, width: 4, past: 40, future: 40, hidden: [11] },
  { rows: 5, heads: 1, width: 4, past: 2, future: 0, hidden: [0, 1, 2, 3, 4] },
];

testParity(
  "relativeAttention",
  TOLERANCE,
  CASES.map(({ rows, heads, width, past, future, hidden = [] }) => {
    const random = (seed: number, length: number): TestTensor =>
      randomTensor([length, heads, width], { seed });
    const [q, k, v] = [1, 2, 3].map((seed) => random(seed, rows));
    const positions = random(4, past + future + 1);
    const valid = new Float32Array(rows).fill(1);
    for (const t of hidden) valid[t] = 0;
    return parityCase(
      `${rows} rows, ${heads} heads of ${width}, past ${past}, ` +
        `future ${future}, hidden ${hidden}`,
      {
        record: ({ ops, upload }) =>
          ops.relativeAttention(
            upload(q!),
            upload(k!),
            upload(v!),
            upload(positions),
            upload(tensor([rows], valid)),
            { heads, past, future, softcap: 1.5 },
          ),
      },
    );
  }),
);
