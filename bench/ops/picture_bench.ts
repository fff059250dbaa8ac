// Operations over pictures, at sizes of the MobileNetV5 tower.
import type { WeightFormat } from "../../src/core/dtype.ts";
import type { Shape } from "../../src/core/shape.ts";
import type { OpCase, OpSize } from "../op_case.ts";

type Picture = readonly [rows: number, columns: number, channels: number];

/** "Same" padding where the size is a multiple of the stride. */
function options(kernel: number, stride: number) {
  const total = Math.max(0, kernel - stride);
  const [top, left] = [total >> 1, total >> 1];
  const padding = { top, left, bottom: total - top, right: total - left };
  return { stride: [stride, stride], padding } as const;
}

function conv2d(
  x: Picture,
  outputs: number,
  kernel: number,
  stride: number,
  format: WeightFormat = "f32",
): OpSize {
  const [rows, columns, channels] = x;
  const places = (rows / stride) * (columns / stride);
  const shape = [outputs, channels, kernel, kernel];
  return {
    inputs: [x],
    weight: { kind: "conv2d", shape, format },
    multiplyAdds: places * outputs * channels * kernel * kernel,
    record: ({ ops, inputs, weight }) =>
      ops.conv2d(inputs[0]!, weight, options(kernel, stride)),
  };
}

function depthwiseConv2d(x: Picture, kernel: number, stride: number): OpSize {
  const [rows, columns, channels] = x;
  const places = (rows / stride) * (columns / stride);
  return {
    inputs: [x],
    weight: { kind: "depthwiseConv2d", shape: [channels, 1, kernel, kernel] },
    multiplyAdds: places * channels * kernel * kernel,
    record: ({ ops, inputs, weight }) =>
      ops.depthwiseConv2d(inputs[0]!, weight, options(kernel, stride)),
  };
}

function moving(
  x: Picture,
  to: Shape,
  record: OpSize["record"],
): OpSize {
  const elements = (shape: Shape) => shape.reduce((a, b) => a * b, 1);
  const bytes = 4 * (elements(x) + elements(to) * x[2]);
  return { inputs: [x], multiplyAdds: 0, bytes, record };
}

function avgPool2d(x: Picture): OpSize {
  return moving(
    x,
    [x[0] / 3, x[1] / 3],
    ({ ops, inputs }) => ops.avgPool2d(inputs[0]!, [3, 3]),
  );
}

function resizeNearest(x: Picture): OpSize {
  const to = [2 * x[0], 2 * x[1]] as const;
  return moving(x, to, ({ ops, inputs }) => ops.resizeNearest(inputs[0]!, to));
}

function resizeBilinear(x: Picture): OpSize {
  const to = [x[0] + 4, x[1] - 2] as const;
  return moving(x, to, ({ ops, inputs }) => ops.resizeBilinear(inputs[0]!, to));
}

function multiQueryAttention(
  rows: number,
  keys: number,
  heads: number,
  width: number,
): OpSize {
  return {
    inputs: [[rows, heads, width], [keys, width], [keys, width]],
    multiplyAdds: 2 * rows * keys * heads * width,
    record: ({ ops, inputs: [q, k, v] }) =>
      ops.multiQueryAttention(q!, k!, v!, { heads, scale: width ** -0.5 }),
  };
}

/** The same of quantised products, which cost a few hundredths of it. */
function multiQueryAttentionOfProducts(
  rows: number,
  keys: number,
  heads: number,
  width: number,
): OpSize {
  return {
    ...multiQueryAttention(rows, keys, heads, width),
    weight: { kind: "matrix", shape: [width, width], format: "q8" },
    record: ({ ops, inputs, weight }) => {
      const [q, k, v] = inputs.map((x) => ops.matmul(x, weight));
      // Products of evenly spread numbers are a few times as large.
      const scale = 1 / width;
      return ops.multiQueryAttention(q!, k!, v!, { heads, scale });
    },
  };
}

/** Cases of the vision tower. */
export const pictureCases: readonly OpCase[] = [
  {
    name: "conv2d 3x3, stem",
    check: conv2d([6, 8, 3], 5, 3, 2),
    time: conv2d([768, 768, 3], 64, 3, 2),
  },
  {
    name: "conv2d 3x3",
    check: conv2d([6, 8, 7], 9, 3, 1),
    time: conv2d([96, 96, 128], 256, 3, 1),
  },
  {
    name: "conv2d 3x3, q8",
    check: conv2d([6, 8, 32], 9, 3, 1, "q8"),
    time: conv2d([96, 96, 128], 256, 3, 1, "q8"),
  },
  {
    name: "conv2d 1x1",
    check: conv2d([6, 8, 7], 9, 1, 1),
    time: conv2d([48, 48, 640], 640, 1, 1),
  },
  {
    name: "depthwiseConv2d 5x5",
    check: depthwiseConv2d([6, 8, 21], 5, 1),
    time: depthwiseConv2d([48, 48, 1280], 5, 1),
  },
  {
    name: "depthwiseConv2d 3x3, stride 2",
    check: depthwiseConv2d([6, 8, 21], 3, 2),
    time: depthwiseConv2d([96, 96, 768], 3, 2),
  },
  {
    name: "avgPool2d",
    check: avgPool2d([6, 9, 5]),
    time: avgPool2d([48, 48, 2048]),
  },
  {
    name: "resizeNearest",
    check: resizeNearest([3, 5, 7]),
    time: resizeNearest([24, 24, 1280]),
  },
  {
    name: "resizeBilinear",
    check: resizeBilinear([6, 7, 5]),
    time: resizeBilinear([48, 48, 2048]),
  },
  {
    name: "multiQueryAttention",
    check: multiQueryAttention(7, 50, 5, 14),
    time: multiQueryAttention(576, 576, 12, 64),
  },
  {
    name: "multiQueryAttention of q8",
    check: multiQueryAttentionOfProducts(7, 50, 5, 32),
    time: multiQueryAttentionOfProducts(576, 576, 12, 64),
  },
];
