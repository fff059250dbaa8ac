// The vision tower: MobileNetV5 with its multi-scale fusion adapter (timm's
// MobileNetV5Encoder) and Transformers' get_image_features around it.
import type { Ops, Tensor } from "../../ops/ops.ts";
import type { Gemma3nVisionConfig } from "./config.ts";
import { embedSoftTokens } from "./multimodal_embedder.ts";
import {
  sameConv2d,
  universalInvertedResidual,
  VISION_NORM_EPS,
  visionBlock,
} from "./vision_blocks.ts";
import type {
  MultiScaleFusionAdapter,
  VisionEncoder,
  VisionTower,
} from "./vision_weights.ts";

/**
 * Soft tokens of one picture: pixels `[Y, X, 3]` -> `[R * R, D]` in the
 * decoder's space, row by row, where R is `msfaOutputResolution`.
 */
export function imageFeatures(
  ops: Ops,
  w: VisionTower,
  config: Gemma3nVisionConfig,
  pixels: Tensor,
): Tensor {
  const record = () => {
    const cells = imageEncoder(ops, w.encoder, config, pixels);
    const scaled = ops.scale(cells, Math.sqrt(config.hiddenSize));
    return embedSoftTokens(ops, w.embedder, scaled);
  };
  return ops.repeat?.(w, [pixels], record) ?? record();
}

/** Pixels `[Y, X, 3]` -> `[R * R, hiddenSize]`, row by row; any size of picture. */
export function imageEncoder(
  ops: Ops,
  w: VisionEncoder,
  config: Gemma3nVisionConfig,
  pixels: Tensor,
): Tensor {
  let x = visionStem(ops, w, pixels);
  const features: Tensor[] = [];
  w.stages.forEach((blocks, stage) => {
    for (const block of blocks) x = visionBlock(ops, block, x);
    if (w.msfa.stages.includes(stage)) features.push(x);
  });
  const { msfaOutputResolution: side, hiddenSize } = config;
  const fused = multiScaleFusionAdapter(ops, w.msfa, features, side);
  return ops.reshape(fused, [side * side, hiddenSize]);
}

/** First convolution: pixels `[Y, X, 3]` -> `[ceil(Y / 2), ceil(X / 2), C]`. */
export function visionStem(
  ops: Ops,
  w: VisionEncoder,
  pixels: Tensor,
): Tensor {
  const { convStem } = w;
  const h = ops.conv2d(pixels, convStem.conv, sameConv2d(pixels, convStem));
  const biased = ops.addVector(h, w.convStemBias);
  return ops.gelu(ops.rmsNorm(biased, convStem.norm, VISION_NORM_EPS));
}

/**
 * Joins features of several resolutions, the finest first, along their
 * channels and brings the result to `[side, side, O]`.
 */
function multiScaleFusionAdapter(
  ops: Ops,
  w: MultiScaleFusionAdapter,
  features: readonly Tensor[],
  side: number,
): Tensor {
  const [y, x] = features[0]!.shape as [number, number];
  const rows = features.map((feature) => {
    const [fy, fx, channels] = feature.shape as [number, number, number];
    const smaller = fy < y || fx < x;
    const full = smaller ? ops.resizeNearest(feature, [y, x]) : feature;
    return ops.reshape(full, [y * x, channels]);
  });
  const joined = ops.concatColumns(rows); // [Y * X, C]
  const h = universalInvertedResidual(
    ops,
    w.ffn,
    ops.reshape(joined, [y, x, joined.shape[1]!]),
  );
  return ops.rmsNorm(resizeTo(ops, h, side), w.norm, VISION_NORM_EPS);
}

function resizeTo(ops: Ops, x: Tensor, side: number): Tensor {
  const [rows, columns] = x.shape as [number, number];
  if (rows === side && columns === side) return x;
  return rows % side === 0 && columns % side === 0
    ? ops.avgPool2d(x, [rows / side, columns / side])
    : ops.resizeBilinear(x, [side, side]);
}
