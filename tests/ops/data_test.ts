import { test } from "node:test";
import {
  assertTensorClose,
  asWeight,
  randomTensor,
  runOps,
  type RunOptions,
  tensor,
  type TestTensor,
  type TestWeight,
} from "../testing.ts";
import { parityCase, reference, SIZES, testParity } from "./parity.ts";

/** Moving data rounds nothing. */
const EXACT = { rtol: 0, atol: 0 };
/** One product. */
const EMBEDDING_TOLERANCE = { rtol: 2e-7, atol: 0 };

/** [0, 1, 2, ...] */
function counting(...shape: number[]): TestTensor {
  const count = shape.reduce((product, dim) => product * dim, 1);
  return tensor(shape, Array.from({ length: count }, (_, i) => i));
}

async function expectResult<W extends Record<string, TestWeight>>(
  options: RunOptions<W>,
  shape: number[],
  values: number[],
): Promise<void> {
  const actual = await runOps(reference, options);
  assertTensorClose(actual, tensor(shape, values), { label: "result" });
}

test("reshape on the reference keeps the elements", async () => {
  const record: RunOptions<Record<string, TestWeight>>["record"] = (
    { ops, upload },
  ) => ops.scale(ops.reshape(upload(counting(2, 3)), [3, 1, 2]), 2);
  await expectResult({ record }, [3, 1, 2], [0, 2, 4, 6, 8, 10]);
});

test("at on the reference views a slice, also of a view", async () => {
  await expectResult(
    {
      record: ({ ops, upload }) =>
        ops.at(ops.at(upload(counting(2, 3, 2)), 1), 2),
    },
    [2],
    [10, 11],
  );
});

test("gatherRows on the reference lays the sources end to end", async () => {
  const index = Int32Array.of(3, 0, 3, 2);
  await expectResult(
    {
      record: ({ ops, upload }) =>
        ops.gatherRows(
          [upload(counting(2, 2)), upload(tensor([2, 2], [7, 8, 9, 10]))],
          index,
        ),
    },
    [4, 2],
    [9, 10, 0, 1, 9, 10, 7, 8],
  );
});

test("columns on the reference picks a range of each row", async () => {
  await expectResult(
    { record: ({ ops, upload }) => ops.columns(upload(counting(2, 4)), 1, 2) },
    [2, 2],
    [1, 2, 5, 6],
  );
});

test("concatColumns on the reference joins rows", async () => {
  await expectResult(
    {
      record: ({ ops, upload }) =>
        ops.concatColumns([
          upload(counting(2, 1)),
          upload(tensor([2, 2], [5, 6, 7, 8])),
        ]),
    },
    [2, 3],
    [0, 5, 6, 1, 7, 8],
  );
});

test("stack on the reference adds a dimension", async () => {
  await expectResult(
    {
      record: ({ ops, upload }) =>
        ops.stack([upload(counting(2)), upload(tensor([2], [5, 6]))]),
    },
    [2, 2],
    [0, 1, 5, 6],
  );
});

test("embedding on the reference picks and scales rows", async () => {
  const table = asWeight("matrix", counting(3, 2));
  await expectResult(
    {
      weights: { table },
      record: ({ ops, weights }) =>
        ops.embedding(weights.table, Int32Array.of(2, 0, 2), 0.5),
    },
    [3, 2],
    [2, 2.5, 0, 0.5, 2, 2.5],
  );
});

testParity(
  "gatherRows, columns, concatColumns, stack, at",
  EXACT,
  SIZES.map((width) => {
    const a = randomTensor([4, width], { seed: width });
    const b = randomTensor([3, width], { seed: width + 1 });
    const index = Int32Array.of(6, 0, 3, 4, 4);
    return parityCase(`width ${width}`, {
      record: ({ ops, upload }) => {
        const rows = ops.gatherRows([upload(a), upload(b)], index);
        const half = ops.columns(rows, width >> 1, width - (width >> 1));
        const joined = ops.concatColumns([half, rows, half]);
        return ops.stack([
          ops.at(ops.stack([joined, joined]), 1),
          joined,
        ]);
      },
    });
  }),
);

testParity("gatherRows", EXACT, [
  parityCase("rows of two dimensions, one source empty", {
    record: ({ ops, upload }) =>
      ops.gatherRows(
        [upload(tensor([0, 3, 5], [])), upload(counting(4, 3, 5))],
        Int32Array.of(3, 1),
      ),
  }),
  parityCase("no rows", {
    record: ({ ops, upload }) =>
      ops.gatherRows([upload(counting(4, 3))], new Int32Array(0)),
  }),
]);

testParity(
  "embedding",
  EMBEDDING_TOLERANCE,
  SIZES.map((width) =>
    parityCase(`width ${width}`, {
      weights: {
        table: asWeight("matrix", randomTensor([9, width], { seed: width })),
      },
      record: ({ ops, weights }) =>
        ops.embedding(weights.table, Int32Array.of(8, 0, 3, 3, 7), 45.25),
    })
  ),
);
