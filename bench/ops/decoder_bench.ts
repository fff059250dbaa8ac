// The text decoder's operations, at the sizes of Gemma 3n E2B.
import type { OpCase, OpSize } from "../op_case.ts";

/** Heads, key-value heads and head width. */
type Heads = readonly [heads: number, kvHeads: number, width: number];

function rope(rows: number, heads: number, width: number): OpSize {
  return {
    inputs: [[rows, heads, width], [rows, width / 2], [rows, width / 2]],
    multiplyAdds: 0,
    bytes: 4 * (2 * rows * heads * width + rows * width),
    record: ({ ops, inputs: [x, cos, sin] }) => ops.rope(x!, cos!, sin!),
  };
}

/** `rows` rows that follow `before` others; the caches start as zeros. */
function attention(
  rows: number,
  before: number,
  [heads, kvHeads, width]: Heads,
  window?: number,
): OpSize {
  const segments = [{ firstRow: 0, rows, firstPosition: before }];
  let pairs = 0;
  for (let row = 0; row < rows; row++) {
    pairs += Math.min(before + row + 1, window ?? Infinity);
  }
  const seen = Math.min(before + rows, (window ?? Infinity) + rows - 1);
  return {
    inputs: [[rows, heads, width], [rows, kvHeads, width]],
    kv: { capacity: before + rows, kvHeads, headDim: width },
    multiplyAdds: 2 * pairs * heads * width,
    bytes: 4 * 2 * seen * kvHeads * width,
    record({ ops, inputs: [q, k], store }) {
      ops.appendKv([store], segments, k!, k!);
      const options = { heads, window, scale: 1 };
      return ops.attention(q!, [store], segments, options);
    },
  };
}

function altupPredict(rows: number, width: number): OpSize {
  return {
    inputs: [[4, rows, width], [rows, 16]],
    multiplyAdds: 16 * rows * width,
    bytes: 4 * 8 * rows * width,
    record: ({ ops, inputs: [x, coefs] }) => ops.altupPredict(x!, coefs!),
  };
}

function altupCorrect(rows: number, width: number): OpSize {
  return {
    inputs: [[4, rows, width], [rows, width], [rows, 4]],
    multiplyAdds: 4 * rows * width,
    bytes: 4 * 9 * rows * width,
    record: ({ ops, inputs: [x, y, coefs] }) =>
      ops.altupCorrect(x!, y!, coefs!, 0),
  };
}

function addToStreams(rows: number, width: number): OpSize {
  return {
    inputs: [[4, rows, width], [rows, width]],
    multiplyAdds: 0,
    bytes: 4 * 9 * rows * width,
    record: ({ ops, inputs: [x, y] }) => ops.addToStreams(x!, y!),
  };
}

function meanStreams(rows: number, width: number): OpSize {
  return {
    inputs: [[4, rows, width]],
    multiplyAdds: 0,
    bytes: 4 * 5 * rows * width,
    record: ({ ops, inputs: [x] }) => ops.meanStreams(x!),
  };
}

const E2B: Heads = [8, 2, 256];
const SMALL: Heads = [4, 2, 14];

/** Cases of the text decoder. */
export const decoderCases: readonly OpCase[] = [
  { name: "rope", check: rope(5, 3, 14), time: rope(512, 8, 256) },
  {
    name: "attention, 1 row of 4096",
    check: attention(1, 0, SMALL),
    time: attention(1, 4095, E2B),
  },
  {
    name: "attention, 1 row, window 512",
    check: attention(1, 0, SMALL, 512),
    time: attention(1, 1023, E2B, 512),
  },
  {
    name: "attention, 512 rows",
    check: attention(37, 0, SMALL, 20),
    time: attention(512, 0, E2B, 512),
  },
  {
    name: "altupPredict",
    check: altupPredict(5, 33),
    time: altupPredict(512, 2048),
  },
  {
    name: "altupCorrect",
    check: altupCorrect(5, 33),
    time: altupCorrect(512, 2048),
  },
  {
    name: "addToStreams",
    check: addToStreams(5, 33),
    time: addToStreams(512, 2048),
  },
  {
    name: "meanStreams",
    check: meanStreams(5, 33),
    time: meanStreams(512, 2048),
  },
];
