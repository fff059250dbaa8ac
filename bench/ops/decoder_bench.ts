// The text decoder's operations, at the sizes of Gemma 3n E2B.
import type { OpCase, OpSize } from "../op_case.ts";

function rope(rows: number, heads: number, width: number): OpSize {
  return {
    inputs: [[rows, heads, width], [rows, width / 2], [rows, width / 2]],
    multiplyAdds: 0,
    bytes: 4 * (2 * rows * heads * width + rows * width),
    record: ({ ops, inputs: [x, cos, sin] }) => ops.rope(x!, cos!, sin!),
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

/** Cases of the text decoder. */
export const decoderCases: readonly OpCase[] = [
  { name: "rope", check: rope(5, 3, 14), time: rope(512, 8, 256) },
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
