// Shapes of operations over pictures, `[Y, X, C]`.
import { formatShape, type Shape } from "../../core/shape.ts";
import type { Conv2dOptions } from "../ops.ts";
import type { OpShapes } from "../shapes.ts";
import { dims, opError, requireCount, requireShape } from "./check.ts";
import { requireHeads } from "./decoder.ts";

/** Convolutions, pooling, resizing, attention between places of a picture. */
export const pictureShapes: Pick<
  OpShapes,
  | "conv2d"
  | "depthwiseConv2d"
  | "avgPool2d"
  | "resizeNearest"
  | "resizeBilinear"
  | "multiQueryAttention"
> = {
  conv2d(x, w, options) {
    const [y, x_, channels] = dims("conv2d", "x", x, "[Y,X,C]");
    const [outputs, , ky, kx] = dims("conv2d", "w", w, "[O,C,KY,KX]");
    requireShape("conv2d", "w", w, [outputs!, channels!, ky!, kx!]);
    const size = [y!, x_!] as const;
    return [...strided("conv2d", size, [ky!, kx!], options), outputs!];
  },
  depthwiseConv2d(x, w, options) {
    const op = "depthwiseConv2d";
    const [y, x_, channels] = dims(op, "x", x, "[Y,X,C]");
    const [, , ky, kx] = dims(op, "w", w, "[C,1,KY,KX]");
    requireShape(op, "w", w, [channels!, 1, ky!, kx!]);
    return [...strided(op, [y!, x_!], [ky!, kx!], options), channels!];
  },
  avgPool2d(x, size) {
    const [y, x_, channels] = dims("avgPool2d", "x", x, "[Y,X,C]");
    requireSize("avgPool2d", size);
    if (y! % size[0] !== 0 || x_! % size[1] !== 0) {
      throw opError(
        "avgPool2d",
        `x ${formatShape(x.shape)} is not a multiple of ${formatShape(size)}`,
      );
    }
    return [y! / size[0], x_! / size[1], channels!];
  },
  resizeNearest: (x, size) => resized("resizeNearest", x.shape, size),
  resizeBilinear: (x, size) => resized("resizeBilinear", x.shape, size),
  multiQueryAttention(q, k, v, options) {
    const op = "multiQueryAttention";
    const [, heads, width] = dims(op, "q", q, "[T,N,H]");
    requireHeads(op, heads!, options.heads);
    const [keys] = dims(op, "k", k, "[S,H]");
    requireShape(op, "k", k, [keys!, width!]);
    requireShape(op, "v", v, [keys!, width!]);
    requireCount(op, "the number of keys", keys!, 1);
    return q.shape;
  },
};

/** Rows and columns after a convolution. */
function strided(
  op: string,
  size: readonly [number, number],
  kernel: readonly [number, number],
  { stride, padding }: Conv2dOptions,
): [number, number] {
  const { top, bottom, left, right } = padding;
  for (const side of [top, bottom, left, right]) {
    requireCount(op, "padding", side);
  }
  for (const step of stride) requireCount(op, "stride", step, 1);
  const y = Math.floor((size[0] + top + bottom - kernel[0]) / stride[0]) + 1;
  const x = Math.floor((size[1] + left + right - kernel[1]) / stride[1]) + 1;
  if (y < 1 || x < 1) {
    throw opError(
      op,
      `a picture of ${formatShape(size)} with its padding is smaller than ` +
        `the kernel ${formatShape(kernel)}`,
    );
  }
  return [y, x];
}

function resized(
  op: string,
  shape: Shape,
  size: readonly [number, number],
): Shape {
  const [y, x, channels] = dims(op, "x", { shape }, "[Y,X,C]");
  requireCount(op, "rows of x", y!, 1);
  requireCount(op, "columns of x", x!, 1);
  requireSize(op, size);
  return [...size, channels!];
}

function requireSize(op: string, size: readonly [number, number]): void {
  for (const side of size) requireCount(op, "size", side, 1);
}
