// The blocks of MobileNetV5, [Y, X, C] -> [Y', X', C'], as timm computes them.
import type { Shape } from "../../core/shape.ts";
import type { Conv2dOptions, Ops, Padding, Tensor } from "../../ops/ops.ts";
import type {
  ConvNorm,
  EdgeResidual,
  KeyValuePath,
  MobileAttention,
  UniversalInvertedResidual,
  VisionBlock,
} from "./vision_weights.ts";

/** Epsilon of every norm in the encoder: timm's default, not the config's `rmsNormEps`. */
export const VISION_NORM_EPS = 1e-6;

/** Any block. */
export function visionBlock(ops: Ops, w: VisionBlock, x: Tensor): Tensor {
  switch (w.kind) {
    case "edgeResidual":
      return edgeResidual(ops, w, x);
    case "universalInvertedResidual":
      return universalInvertedResidual(ops, w, x);
    case "mobileAttention":
      return mobileAttention(ops, w, x);
  }
}

/** Expansion by a full convolution, projection by a pointwise one. */
export function edgeResidual(ops: Ops, w: EdgeResidual, x: Tensor): Tensor {
  let h = ops.gelu(convNorm(ops, w.convExp, x)); // [Y', X', mid]
  h = convNorm(ops, w.convPwl, h);
  return w.skip ? ops.add(h, x) : h;
}

/** Pointwise expansion and projection with depthwise convolutions before and between. */
export function universalInvertedResidual(
  ops: Ops,
  w: UniversalInvertedResidual,
  x: Tensor,
): Tensor {
  let h = w.dwStart === undefined ? x : depthwiseConvNorm(ops, w.dwStart, x);
  h = ops.gelu(convNorm(ops, w.pwExp, h)); // [Y, X, mid]
  if (w.dwMid !== undefined) h = ops.gelu(depthwiseConvNorm(ops, w.dwMid, h));
  h = convNorm(ops, w.pwProj, h);
  if (w.layerScale !== undefined) h = ops.mulVector(h, w.layerScale);
  return w.skip ? ops.add(h, x) : h;
}

/** Every cell attends to all cells, or to all of a smaller picture of keys and values. */
export function mobileAttention(
  ops: Ops,
  w: MobileAttention,
  x: Tensor,
): Tensor {
  const [y, cells] = [x.shape[0]!, x.shape[0]! * x.shape[1]!];
  const h = ops.rmsNorm(x, w.norm, VISION_NORM_EPS);
  const q = ops.conv2d(h, w.query, POINTWISE); // [Y, X, N * H]
  const o = ops.multiQueryAttention(
    ops.reshape(q, [cells, w.heads, w.headDim]),
    keysOrValues(ops, w.key, h),
    keysOrValues(ops, w.value, h),
    { heads: w.heads, scale: 1 / Math.sqrt(w.headDim) },
  );
  const flat = ops.reshape(o, [y, cells / y, w.heads * w.headDim]);
  const out = ops.conv2d(flat, w.output, POINTWISE);
  return ops.add(ops.mulVector(out, w.layerScale), x);
}

/** A convolution with SAME padding and its norm. */
export function convNorm(ops: Ops, w: ConvNorm, x: Tensor): Tensor {
  const h = ops.conv2d(x, w.conv, sameConv2d(x, w));
  return ops.rmsNorm(h, w.norm, VISION_NORM_EPS);
}

/** Options of a convolution with SAME padding. */
export function sameConv2d(x: Tensor, w: ConvNorm): Conv2dOptions {
  const { conv, stride } = w;
  return {
    stride: [stride, stride],
    padding: samePadding(x.shape, conv.shape.slice(2), stride),
  };
}

/**
 * TensorFlow's SAME padding of a picture `[Y, X, ...]`: just enough for
 * ceil(side / stride) outputs, the odd one at the bottom and on the right.
 */
export function samePadding(
  picture: Shape,
  kernel: Shape,
  stride: number,
): Padding {
  const total = (side: number, size: number) =>
    Math.max(0, (Math.ceil(side / stride) - 1) * stride + size - side);
  const vertical = total(picture[0]!, kernel[0]!);
  const horizontal = total(picture[1]!, kernel[1]!);
  const top = Math.floor(vertical / 2);
  const left = Math.floor(horizontal / 2);
  return { top, bottom: vertical - top, left, right: horizontal - left };
}

const POINTWISE: Conv2dOptions = {
  stride: [1, 1],
  padding: { top: 0, bottom: 0, left: 0, right: 0 },
};

function depthwiseConvNorm(ops: Ops, w: ConvNorm, x: Tensor): Tensor {
  const h = ops.depthwiseConv2d(x, w.conv, sameConv2d(x, w));
  return ops.rmsNorm(h, w.norm, VISION_NORM_EPS);
}

function keysOrValues(ops: Ops, w: KeyValuePath, x: Tensor): Tensor {
  const h = w.downConv === undefined
    ? x
    : depthwiseConvNorm(ops, w.downConv, x);
  const projected = ops.conv2d(h, w.proj, POINTWISE); // [Y', X', H]
  const [y, x_, headDim] = projected.shape;
  return ops.reshape(projected, [y! * x_!, headDim!]); // [S, H]
}
