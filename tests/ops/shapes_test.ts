import assert from "node:assert/strict";
import { test } from "node:test";
import { InputError } from "../../src/core/errors.ts";
import type { KvStore, Segment, Tensor } from "../../src/ops/ops.ts";
import { shapes } from "../../src/ops/shapes.ts";

const of = (...shape: number[]): Tensor => ({ shape });
const ids = (...values: number[]) => Int32Array.from(values);
const PADDING = { top: 0, bottom: 0, left: 0, right: 0 };
const CONV = { stride: [1, 1], padding: PADDING } as const;

const store = (
  capacity: number,
  kvHeads: number,
  headDim: number,
): KvStore => ({
  capacity,
  kvHeads,
  headDim,
  kvStore: true,
});
const segment = (
  firstRow: number,
  rows: number,
  firstPosition: number,
): Segment => ({ firstRow, rows, firstPosition });
const attend = (heads: number, window?: number) => ({
  heads,
  window,
  scale: 1,
});
const local = { heads: 2, past: 2, future: 1, softcap: 50 };

/** Arguments that are accepted, and the shape of the result. */
const ACCEPTED: readonly [string, () => readonly number[], number[]][] = [
  ["reshape", () => shapes.reshape(of(2, 6), [3, 4]), [3, 4]],
  ["reshape to a scalar", () => shapes.reshape(of(1, 1), []), []],
  ["at", () => shapes.at(of(3, 4, 5), 2), [4, 5]],
  [
    "gatherRows",
    () => shapes.gatherRows([of(2, 3), of(1, 3)], ids(2, 0, 1, 2)),
    [4, 3],
  ],
  ["columns", () => shapes.columns(of(2, 5), 3, 2), [2, 2]],
  ["concatColumns", () => shapes.concatColumns([of(2, 3), of(2, 1)]), [2, 4]],
  ["stack", () => shapes.stack([of(2, 3), of(2, 3)]), [2, 2, 3]],
  ["embedding", () => shapes.embedding(of(5, 3), ids(4, 0), 1), [2, 3]],
  ["matmul", () => shapes.matmul(of(2, 3, 4), of(6, 4)), [2, 3, 6]],
  [
    "gatedMatmul",
    () => shapes.gatedMatmul(of(2, 3, 4), of(6, 4), of(2, 3, 6)),
    [2, 3, 6],
  ],
  ["matmul of a row", () => shapes.matmul(of(4), of(6, 4)), [6]],
  ["scaleRows", () => shapes.scaleRows(of(2, 3), of(1, 2)), [2, 3]],
  ["glu", () => shapes.glu(of(3, 8)), [3, 4]],
  ["rmsNorm", () => shapes.rmsNorm(of(2, 3, 4), of(4), 1e-6), [2, 3, 4]],
  ["rope", () => shapes.rope(of(2, 3, 4), of(2, 2), of(2, 2)), [2, 3, 4]],
  ["meanStreams", () => shapes.meanStreams(of(4, 2, 3)), [2, 3]],
  [
    "attention with a ring that is just large enough",
    () =>
      shapes.attention(
        of(3, 4, 8),
        [store(5, 2, 8)],
        [segment(0, 3, 90)],
        attend(4, 3),
      ),
    [3, 4, 8],
  ],
  [
    "conv2d",
    () =>
      shapes.conv2d(of(8, 7, 3), of(5, 3, 3, 2), {
        stride: [2, 1],
        padding: { ...PADDING, bottom: 1, left: 2 },
      }),
    [4, 8, 5],
  ],
  [
    "depthwiseConv2d",
    () => shapes.depthwiseConv2d(of(8, 7, 3), of(3, 1, 3, 3), CONV),
    [6, 5, 3],
  ],
  ["avgPool2d", () => shapes.avgPool2d(of(6, 4, 3), [3, 2]), [2, 2, 3]],
  ["resizeNearest", () => shapes.resizeNearest(of(2, 3, 4), [5, 1]), [5, 1, 4]],
  [
    "relativeAttention",
    () => {
      const x = of(5, 2, 3);
      return shapes.relativeAttention(x, x, x, of(4, 2, 3), of(5), local);
    },
    [5, 2, 3],
  ],
];

for (const [name, run, expected] of ACCEPTED) {
  test(`shapes: ${name}`, () => {
    assert.deepEqual([...run()], expected);
  });
}

const QKV = of(2, 2, 4);

/** Arguments that are refused, and what the message says. */
const REFUSED: readonly [string, () => unknown, RegExp][] = [
  ["reshape", () => shapes.reshape(of(2, 3), [4]), /6 elements.*has 4/],
  ["reshape", () => shapes.reshape(of(2, 3), [-2, -3]), /"shape" is -2/],
  ["at", () => shapes.at(of(3, 4), 3), /"index" holds 3, wanted 0\.\.2/],
  ["at", () => shapes.at(of(), 0), /at least one dimension/],
  ["gatherRows", () => shapes.gatherRows([], ids()), /"sources" is empty/],
  ["gatherRows", () => shapes.gatherRows([of(2, 3)], ids(2)), /holds 2/],
  ["gatherRows", () => shapes.gatherRows([of(2, 3)], ids(-1)), /holds -1/],
  [
    "gatherRows",
    () => shapes.gatherRows([of(2, 3), of(2, 4)], ids(0)),
    /"sources\[1\]" has shape \[2,4\], wanted \[2,3\]/,
  ],
  ["columns", () => shapes.columns(of(2, 5), 4, 2), /4\.\.6 lie outside/],
  [
    "concatColumns",
    () => shapes.concatColumns([of(2, 3), of(3, 3)]),
    /"parts\[1\]" has shape \[3,3\], wanted \[2,3\]/,
  ],
  ["stack", () => shapes.stack([of(2), of(3)]), /"parts\[1\]"/],
  ["embedding", () => shapes.embedding(of(5, 3), ids(5), 1), /holds 5/],
  ["matmul", () => shapes.matmul(of(2, 3), of(3, 2)), /last dimension/],
  ["matmul", () => shapes.matmul(of(2, 3), of(3)), /wanted \[F,K\]/],
  [
    "gatedMatmul",
    () => shapes.gatedMatmul(of(2, 3), of(5, 2), of(2, 5)),
    /last dimension/,
  ],
  [
    "gatedMatmul",
    () => shapes.gatedMatmul(of(2, 3), of(5, 3), of(2, 3)),
    /"gate" has shape \[2,3\], wanted \[2,5\]/,
  ],
  ["add", () => shapes.add(of(2, 3), of(3, 2)), /\[3,2\], wanted \[2,3\]/],
  ["mul", () => shapes.mul(of(2, 3), of(6)), /wanted \[2,3\]/],
  ["addScaled", () => shapes.addScaled(of(2), of(3), 1), /wanted \[2\]/],
  ["geluMul", () => shapes.geluMul(of(2), of(3)), /wanted \[2\]/],
  ["mulVector", () => shapes.mulVector(of(2, 3), of(2)), /wanted \[3\]/],
  ["addVector", () => shapes.addVector(of(2, 3), of(1, 3)), /wanted \[3\]/],
  ["scaleRows", () => shapes.scaleRows(of(2, 3), of(3)), /has 2 rows/],
  ["glu", () => shapes.glu(of(3, 7)), /odd width/],
  ["rmsNorm", () => shapes.rmsNorm(of(2, 3), of(2), 1e-6), /wanted \[3\]/],
  [
    "matchMagnitude",
    () => shapes.matchMagnitude(of(2, 3), of(3), 1),
    /wanted \[2,3\]/,
  ],
  [
    "rope",
    () => shapes.rope(of(2, 3, 4), of(2, 4), of(2, 4)),
    /"cos" has shape \[2,4\], wanted \[2,2\]/,
  ],
  ["rope", () => shapes.rope(of(2, 1, 3), of(2, 1), of(2, 1)), /odd head/],
  [
    "appendKv",
    () => shapes.appendKv([store(8, 2, 4)], [], QKV, QKV),
    /1 stores for 0 segments/,
  ],
  [
    "appendKv",
    () => shapes.appendKv([store(8, 1, 4)], [segment(0, 2, 0)], QKV, QKV),
    /2 heads of 4, the store has 1 of 4/,
  ],
  [
    "appendKv",
    () => shapes.appendKv([store(8, 2, 4)], [segment(1, 2, 0)], QKV, QKV),
    /ends after row 2/,
  ],
  [
    "appendKv",
    () => shapes.appendKv([store(1, 2, 4)], [segment(0, 2, 0)], QKV, QKV),
    /exceeds the capacity 1/,
  ],
  [
    "attention",
    () =>
      shapes.attention(QKV, [store(8, 2, 4)], [segment(0, 1, 0)], attend(2)),
    /segments have 1 rows, q \[2,2,4\] has 2/,
  ],
  [
    "attention",
    () =>
      shapes.attention(QKV, [store(8, 2, 4)], [segment(1, 1, 0)], attend(2)),
    /must start at row 0/,
  ],
  [
    "attention",
    () =>
      shapes.attention(QKV, [store(8, 2, 4)], [segment(0, 2, 7)], attend(2)),
    /sees 9 positions, the store keeps 8/,
  ],
  [
    "attention",
    () =>
      shapes.attention(QKV, [store(4, 2, 4)], [segment(0, 2, 9)], attend(2, 4)),
    /sees 5 positions, the store keeps 4/,
  ],
  [
    "attention",
    () =>
      shapes.attention(QKV, [store(8, 2, 4)], [segment(0, 2, 0)], attend(4)),
    /q has 2 heads, the options say 4/,
  ],
  [
    "attention",
    () =>
      shapes.attention(
        of(1, 3, 4),
        [store(8, 2, 4)],
        [segment(0, 1, 0)],
        attend(3),
      ),
    /3 query heads cannot share 2/,
  ],
  [
    "attention",
    () =>
      shapes.attention(QKV, [store(8, 2, 4)], [segment(0, 2, -1)], attend(2)),
    /"firstPosition" is -1/,
  ],
  [
    "altupPredict",
    () => shapes.altupPredict(of(4, 2, 3), of(2, 4)),
    /wanted \[2,16\]/,
  ],
  [
    "altupCorrect",
    () => shapes.altupCorrect(of(4, 2, 3), of(2, 3), of(2, 4), 4),
    /"active" is 4, there are 4 streams/,
  ],
  [
    "addToStreams",
    () => shapes.addToStreams(of(4, 2, 3), of(4, 3)),
    /wanted \[2,3\]/,
  ],
  [
    "conv2d",
    () => shapes.conv2d(of(8, 8, 3), of(5, 4, 3, 3), CONV),
    /\[5,4,3,3\], wanted \[5,3,3,3\]/,
  ],
  [
    "conv2d",
    () => shapes.conv2d(of(2, 8, 3), of(5, 3, 3, 3), CONV),
    /smaller than the kernel \[3,3\]/,
  ],
  [
    "conv2d",
    () =>
      shapes.conv2d(of(8, 8, 3), of(5, 3, 3, 3), {
        ...CONV,
        stride: [1, 0],
      }),
    /"stride" is 0/,
  ],
  [
    "depthwiseConv2d",
    () => shapes.depthwiseConv2d(of(8, 8, 3), of(3, 3, 3, 3), CONV),
    /wanted \[3,1,3,3\]/,
  ],
  ["avgPool2d", () => shapes.avgPool2d(of(5, 4, 3), [2, 2]), /not a multiple/],
  [
    "resizeBilinear",
    () => shapes.resizeBilinear(of(5, 4, 3), [0, 2]),
    /"size" is 0/,
  ],
  [
    "multiQueryAttention",
    () =>
      shapes.multiQueryAttention(QKV, of(3, 4), of(2, 4), {
        heads: 2,
        scale: 1,
      }),
    /"v" has shape \[2,4\], wanted \[3,4\]/,
  ],
  [
    "depthwiseConv1d",
    () => shapes.depthwiseConv1d(of(5, 4), of(3, 1, 5)),
    /wanted \[4,1,5\]/,
  ],
  [
    "cumulativeGroupNorm",
    () => shapes.cumulativeGroupNorm(of(5, 4, 3), of(4), 1),
    /wanted \[3\]/,
  ],
  [
    "relativeAttention",
    () => shapes.relativeAttention(QKV, QKV, QKV, of(3, 2, 4), of(2), local),
    /"positions" has shape \[3,2,4\], wanted \[4,2,4\]/,
  ],
  [
    "relativeAttention",
    () => shapes.relativeAttention(QKV, QKV, QKV, of(4, 2, 4), of(3), local),
    /must have 2 elements/,
  ],
];

for (const [op, run, message] of REFUSED) {
  test(`shapes: ${op} refuses ${message}`, () => {
    assert.throws(run, (error: unknown) => {
      assert.ok(error instanceof InputError);
      assert.ok(error.message.startsWith(`Cannot record "${op}": `));
      assert.match(error.message, message);
      return true;
    });
  });
}
