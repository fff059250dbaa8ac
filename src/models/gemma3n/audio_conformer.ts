// Blocks of the conformer, as in Transformers' Gemma3nAudioConformerBlock.
import type { Ops, Tensor } from "../../ops/ops.ts";
import {
  audioAttention,
  type AudioContext,
  CONFORMER_NORM_EPS,
} from "./audio_attention.ts";
import type {
  AudioConformerBlock,
  AudioFeedForward,
  AudioLightConv1d,
} from "./audio_weights.ts";
import type { Gemma3nAudioConfig } from "./config.ts";

/**
 * One block, `[T, D] -> [T, D]`: half a feed-forward, attention, a causal
 * convolution, the other half.
 */
export function conformerBlock(
  ops: Ops,
  w: AudioConformerBlock,
  x: Tensor,
  ctx: AudioContext,
): Tensor {
  const { config } = ctx;
  let h = feedForward(ops, w.ffwLayerStart, x, config);
  h = audioAttention(ops, w.attention, h, ctx);
  // Padding must not leak into the sound before it is convolved.
  h = lightConv1d(ops, w.lconv1d, ops.scaleRows(h, ctx.valid), config);
  h = feedForward(ops, w.ffwLayerEnd, h, config);
  h = ops.clamp(h, config.gradientClipping);
  return ops.rmsNorm(h, w.norm, CONFORMER_NORM_EPS);
}

/** Feed-forward with its norms and weighted residual, `[T, D] -> [T, D]`. */
function feedForward(
  ops: Ops,
  w: AudioFeedForward,
  x: Tensor,
  config: Gemma3nAudioConfig,
): Tensor {
  const limit = config.gradientClipping;
  let h = ops.rmsNorm(ops.clamp(x, limit), w.preLayerNorm, CONFORMER_NORM_EPS);
  h = ops.silu(ops.matmul(h, w.ffwLayer1)); // [T, 4D]
  h = ops.clamp(ops.matmul(h, w.ffwLayer2), limit);
  h = ops.rmsNorm(h, w.postLayerNorm, CONFORMER_NORM_EPS);
  return ops.add(x, ops.scale(h, config.confResidualWeight));
}

/** Gated causal depthwise convolution with its residual, `[T, D] -> [T, D]`. */
function lightConv1d(
  ops: Ops,
  w: AudioLightConv1d,
  x: Tensor,
  config: Gemma3nAudioConfig,
): Tensor {
  const eps = config.rmsNormEps;
  let h = ops.rmsNorm(x, w.preLayerNorm, eps);
  h = ops.glu(ops.matmul(h, w.linearStart));
  h = ops.depthwiseConv1d(h, w.depthwiseConv1d);
  h = ops.rmsNorm(ops.clamp(h, config.gradientClipping), w.convNorm, eps);
  h = ops.matmul(ops.silu(h), w.linearEnd);
  return ops.add(h, x);
}
