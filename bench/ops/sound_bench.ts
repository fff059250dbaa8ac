// Operations over sound, at the sizes of the audio encoder and 30 s.
import type { OpCase, OpSize } from "../op_case.ts";

function depthwiseConv1d(rows: number, width: number, taps: number): OpSize {
  return {
    inputs: [[rows, width]],
    weight: { kind: "depthwiseConv1d", shape: [width, 1, taps] },
    multiplyAdds: rows * width * taps,
    bytes: 2 * 4 * rows * width,
    record: ({ ops, inputs, weight }) =>
      ops.depthwiseConv1d(inputs[0]!, weight),
  };
}

function cumulativeGroupNorm(
  rows: number,
  places: number,
  channels: number,
): OpSize {
  return {
    inputs: [[rows, places, channels]],
    weight: { kind: "vector", shape: [channels] },
    multiplyAdds: 0,
    bytes: 3 * 4 * rows * places * channels,
    record: ({ ops, inputs, weight }) =>
      ops.cumulativeGroupNorm(inputs[0]!, weight, 1e-3),
  };
}

function relativeAttention(
  rows: number,
  heads: number,
  width: number,
  past: number,
): OpSize {
  const shape = [rows, heads, width];
  return {
    inputs: [shape, shape, shape, [past + 1, heads, width], [rows]],
    multiplyAdds: 3 * rows * (past + 1) * heads * width,
    record({ ops, inputs: [q, k, v, positions, valid] }) {
      const options = { heads, past, future: 0, softcap: 50 };
      return ops.relativeAttention(q!, k!, v!, positions!, valid!, options);
    },
  };
}

/** Cases of the audio tower. */
export const soundCases: readonly OpCase[] = [
  {
    name: "depthwiseConv1d",
    check: depthwiseConv1d(9, 21, 5),
    time: depthwiseConv1d(750, 1536, 5),
  },
  {
    name: "cumulativeGroupNorm",
    check: cumulativeGroupNorm(9, 5, 7),
    time: cumulativeGroupNorm(1500, 64, 128),
  },
  {
    name: "relativeAttention",
    check: relativeAttention(15, 3, 14, 6),
    time: relativeAttention(750, 8, 192, 12),
  },
];
