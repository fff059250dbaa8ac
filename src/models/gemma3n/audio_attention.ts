// Local attention of the conformer with relative positions, as in
// Transformers' Gemma3nAudioConformerAttention.
import type { Ops, RelativeAttentionOptions, Tensor } from "../../ops/ops.ts";
import type { AudioAttention } from "./audio_weights.ts";
import type { Gemma3nAudioConfig } from "./config.ts";

// Transformers passes no eps to the conformer's norms, but for those of the
// convolution: they have its default, not the config's.
export const CONFORMER_NORM_EPS = 1e-6;

const MAX_TIMESCALE = 1e4;

/** What the layers of the conformer share for one clip of T frames. */
export interface AudioContext {
  readonly config: Gemma3nAudioConfig;
  /** `[T]`, 1 = sound, 0 = padding. */
  readonly valid: Tensor;
  /** `[past + future + 1, D]` of {@link relativePositionSinusoids}. */
  readonly sinusoids: Tensor;
}

/**
 * Heads and window of the local attention.
 *
 * Transformers cuts the clip into chunks and attends from each to itself and
 * the context around it. Its mask then leaves of the chunk's context exactly
 * the keys from `past` before to `future` after a row, so that the chunk size
 * does not show in the result.
 */
export function audioAttentionOptions(
  config: Gemma3nAudioConfig,
): RelativeAttentionOptions {
  return {
    heads: config.confNumAttentionHeads,
    // The left context of the config counts the row itself.
    past: Math.max(0, config.confAttentionContextLeft - 1),
    future: config.confAttentionContextRight,
    softcap: config.confAttentionLogitCap,
  };
}

/**
 * Sinusoids of the relative positions, `[past + future + 1, D]` row-major:
 * row p holds the D/2 sines, then the D/2 cosines, of the distance
 * `past - p` from a row back to its key, over timescales from 1 to 10000.
 */
export function relativePositionSinusoids(
  config: Gemma3nAudioConfig,
): Float32Array {
  const { past, future } = audioAttentionOptions(config);
  const half = config.hiddenSize / 2;
  const step = Math.log(MAX_TIMESCALE) / Math.max(half - 1, 1);
  const out = new Float32Array((past + future + 1) * 2 * half);
  for (let p = 0; p <= past + future; p++) {
    for (let i = 0; i < half; i++) {
      const angle = (past - p) * Math.exp(-i * step);
      out[p * 2 * half + i] = Math.sin(angle);
      out[p * 2 * half + half + i] = Math.cos(angle);
    }
  }
  return out;
}

/** Attention with its norms and residual, `[T, D] -> [T, D]`. */
export function audioAttention(
  ops: Ops,
  w: AudioAttention,
  x: Tensor,
  ctx: AudioContext,
): Tensor {
  const { gradientClipping: limit } = ctx.config;
  const options = audioAttentionOptions(ctx.config);
  const width = x.shape[1]!;
  const split = (t: Tensor) =>
    ops.reshape(t, [t.shape[0]!, options.heads, width / options.heads]);

  const h = ops.rmsNorm(ops.clamp(x, limit), w.preAttnNorm, CONFORMER_NORM_EPS);
  const q = ops.mulVector(split(ops.matmul(h, w.qProj)), w.queryScale);
  const k = split(ops.matmul(h, w.kProj));
  const v = split(ops.matmul(h, w.vProj));
  const positions = split(ops.matmul(ctx.sinusoids, w.posProj));

  // A row that sees no key is padding itself. Transformers gives it the mean
  // of the values around it, here it gets zeros: both are masked right after.
  const attended = ops.relativeAttention(
    q,
    k,
    v,
    positions,
    ctx.valid,
    options,
  ); // [T, N, H]
  let y = ops.matmul(ops.reshape(attended, x.shape), w.post);
  y = ops.rmsNorm(ops.clamp(y, limit), w.postNorm, CONFORMER_NORM_EPS);
  return ops.add(x, y);
}
