// What is no number stays none in every operation between a layer's input and
// the choice of a token: hidden on the way, it would become tokens that mean nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Ops, Tensor } from "../../src/ops/ops.ts";
import { devices, randomTensor, runOps } from "../testing.ts";

const WIDTH = 40;
/** The place of the one that is none; kernels take elements by fours, too. */
const PLACES = [0, 6, WIDTH - 1];

/** Operations on a row with one NaN; `row` where every element of the result must be NaN. */
const CASES: Readonly<
  Record<string, { row?: true; record(ops: Ops, x: Tensor): Tensor }>
> = {
  relu: { record: (ops, x) => ops.relu(x) },
  clamp: { record: (ops, x) => ops.clamp(x, 0.5) },
  softcap: { record: (ops, x) => ops.softcap(x, 30) },
  tanh: { record: (ops, x) => ops.tanh(x) },
  silu: { record: (ops, x) => ops.silu(x) },
  gelu: { record: (ops, x) => ops.gelu(x) },
  geluMul: { record: (ops, x) => ops.geluMul(x, x) },
  "glu of its gates": {
    record: (ops, x) => ops.glu(ops.concatColumns([ops.scale(x, 0), x])),
  },
  gaussianTopK: { row: true, record: (ops, x) => ops.gaussianTopK(x, 1.6) },
  rmsNorm: { row: true, record: (ops, x) => ops.rmsNorm(x, undefined, 1e-6) },
  matchMagnitude: {
    row: true,
    record: (ops, x) => ops.matchMagnitude(ops.scale(x, 0), x, 1e-5),
  },
};

for (const target of await devices()) {
  for (const [name, { row = false, record }] of Object.entries(CASES)) {
    test(`${name} passes NaN on, on ${target.name}`, async () => {
      for (const place of PLACES) {
        const x = randomTensor([1, WIDTH], { seed: 1 });
        x.data[place] = NaN;
        const found = await runOps(target, {
          weights: {},
          record: ({ ops, upload }) => record(ops, upload(x)),
        });
        found.data.forEach((value, i) =>
          assert.equal(
            Number.isNaN(value),
            row || i === place,
            `element ${i} is ${value} with NaN at ${place}`,
          )
        );
      }
    });
  }
}
