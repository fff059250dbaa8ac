import { test } from "node:test";
import type { Ops, Tensor } from "../../src/ops/ops.ts";
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

/** A few roundings. */
const TOLERANCE = { rtol: 1e-6, atol: 1e-6 };

type Unary = (ops: Ops, x: Tensor) => Tensor;
type Binary = (ops: Ops, a: Tensor, b: Tensor) => Tensor;

const UNARY: readonly [string, Unary, (x: number) => number][] = [
  ["scale", (ops, x) => ops.scale(x, -1.5), (x) => -1.5 * x],
  ["relu", (ops, x) => ops.relu(x), (x) => x > 0 ? x : 0],
  ["tanh", (ops, x) => ops.tanh(x), (x) => 1 - 2 / (Math.exp(2 * x) + 1)],
  ["softcap", (ops, x) => ops.softcap(x, 3), (x) => 3 * Math.tanh(x / 3)],
  [
    "clamp",
    (ops, x) => ops.clamp(x, 0.75),
    (x) => x < -0.75 ? -0.75 : x > 0.75 ? 0.75 : x,
  ],
  [
    "gelu",
    (ops, x) => ops.gelu(x),
    (x) => x / (1 + Math.exp(-1.5957691216057308 * (x + 0.044715 * x ** 3))),
  ],
  ["silu", (ops, x) => ops.silu(x), (x) => x * (1 + Math.tanh(x / 2)) / 2],
];

const BINARY: readonly [string, Binary, (a: number, b: number) => number][] = [
  ["add", (ops, a, b) => ops.add(a, b), (a, b) => a + b],
  ["mul", (ops, a, b) => ops.mul(a, b), (a, b) => a * b],
  [
    "addScaled",
    (ops, a, b) => ops.addScaled(a, b, 0.3),
    (a, b) => 0.3 * a + 0.3 * b,
  ],
  [
    "geluMul",
    (ops, a, b) => ops.geluMul(a, b),
    (a, b) =>
      b * a / (1 + Math.exp(-1.5957691216057308 * (a + 0.044715 * a ** 3))),
  ],
];

const x = randomTensor([3, 5], { seed: 1, scale: 4 });
const y = randomTensor([3, 5], { seed: 2 });

for (const [name, record, formula] of UNARY) {
  test(`${name} on the reference follows its formula`, async () => {
    const actual = await runOps(reference, {
      record: ({ ops, upload }) => record(ops, upload(x)),
    });
    const expected = { ...x, data: x.data.map(formula) };
    assertTensorClose(actual, expected, { ...TOLERANCE, label: name });
  });
  testParity(
    name,
    TOLERANCE,
    SIZES.map((width) => {
      const x = randomTensor([width], { seed: width, scale: 6 });
      return parityCase(`${width} elements`, {
        record: ({ ops, upload }) => record(ops, upload(x)),
      });
    }),
  );
}

for (const [name, record, formula] of BINARY) {
  test(`${name} on the reference follows its formula`, async () => {
    const actual = await runOps(reference, {
      record: ({ ops, upload }) => record(ops, upload(x), upload(y)),
    });
    const expected = {
      ...x,
      data: x.data.map((value, i) => formula(value, y.data[i]!)),
    };
    assertTensorClose(actual, expected, { ...TOLERANCE, label: name });
  });
  testParity(
    name,
    TOLERANCE,
    SIZES.map((width) => {
      const a = randomTensor([2, width], { seed: width, scale: 6 });
      const b = randomTensor([2, width], { seed: width + 1, scale: 6 });
      return parityCase(`width ${width}`, {
        record: ({ ops, upload }) => record(ops, upload(a), upload(b)),
      });
    }),
  );
}

testGolden("gelu", {
  record: ({ ops, upload }) => ops.gelu(upload(golden("gelu", "x"))),
});
testGolden("geluMul", {
  record: ({ ops, upload }) =>
    ops.geluMul(
      upload(golden("geluMul", "x")),
      upload(golden("geluMul", "y")),
    ),
});
testGolden("silu", {
  record: ({ ops, upload }) => ops.silu(upload(golden("silu", "x"))),
});
testGolden("glu", {
  record: ({ ops, upload }) => ops.glu(upload(golden("glu", "x"))),
});

const EXTREMES = tensor([6], [-1e30, -100, -0, 0, 100, 1e30]);

test("gelu, silu, tanh, softcap stay finite far from zero", async () => {
  const expected = { gelu: [-0, -0, -0, 0, 100, Math.fround(1e30)] };
  for (const op of ["gelu", "silu"] as const) {
    const actual = await runOps(reference, {
      record: ({ ops, upload }) => ops[op](upload(EXTREMES)),
    });
    const wanted = tensor([6], expected.gelu);
    assertTensorClose(actual, wanted, { atol: 1e-30, label: op });
  }
  const capped = await runOps(reference, {
    record: ({ ops, upload }) => ops.softcap(upload(EXTREMES), 30),
  });
  const limit = 30 * Math.tanh(100 / 30);
  const wanted = tensor([6], [-30, -limit, -0, 0, limit, 30]);
  assertTensorClose(capped, wanted, { rtol: 1e-7, label: "softcap" });
});

for (const op of ["gelu", "silu", "tanh"] as const) {
  testParity(op, TOLERANCE, [
    parityCase("far from zero", {
      record: ({ ops, upload }) => ops[op](upload(EXTREMES)),
    }),
  ]);
}
testParity("softcap", TOLERANCE, [
  parityCase("far from zero", {
    record: ({ ops, upload }) => ops.softcap(upload(EXTREMES), 30),
  }),
]);

test("mulVector, addVector, scaleRows on the reference broadcast", async () => {
  const x = tensor([2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8]);
  const w = asWeight("vector", tensor([2], [10, 100]));
  const run = async (
    expected: number[],
    record: (ops: Ops, x: Tensor, w: Tensor, factors: Tensor) => Tensor,
  ) => {
    const actual = await runOps(reference, {
      weights: { w },
      record: ({ ops, weights, upload }) =>
        record(ops, upload(x), weights.w, upload(tensor([2, 1], [2, -1]))),
    });
    assertTensorClose(actual, tensor([2, 2, 2], expected), { label: "result" });
  };
  await run(
    [10, 200, 30, 400, 50, 600, 70, 800],
    (ops, x, w) => ops.mulVector(x, w),
  );
  await run(
    [11, 102, 13, 104, 15, 106, 17, 108],
    (ops, x, w) => ops.addVector(x, w),
  );
  await run(
    [2, 4, 6, 8, -5, -6, -7, -8],
    (ops, x, _, factors) => ops.scaleRows(x, factors),
  );
});

testParity(
  "mulVector, addVector, scaleRows, glu",
  TOLERANCE,
  SIZES.map((width) => {
    const x = randomTensor([3, 2 * width], { seed: width });
    const factors = randomTensor([3], { seed: width + 1 });
    const [a, b] = [2, 3].map((seed) =>
      asWeight("vector", randomTensor([2 * width], { seed }))
    );
    return parityCase(`width ${width}`, {
      weights: { a: a!, b: b! },
      record: ({ ops, weights, upload }) => {
        const y = ops.addVector(ops.mulVector(upload(x), weights.a), weights.b);
        return ops.glu(ops.scaleRows(y, upload(factors)));
      },
    });
  }),
);
