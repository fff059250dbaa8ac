// From mel frames to the conformer's input, a quarter as many, as in
// Transformers' Gemma3nAudioSubSampleConvProjection.
import type { Ops, Tensor } from "../../ops/ops.ts";
import { convolutionPadding } from "./audio_frames.ts";
import type { AudioSubsampling } from "./audio_weights.ts";
import type { Gemma3nAudioConfig } from "./config.ts";

/**
 * Two strided convolutions over time and frequency, then a projection:
 * `[F, M]` of M mel bins -> `[T, D]`.
 *
 * Padded frames count: the norm's running statistics go over all frames.
 */
export function subsampleConvProjection(
  ops: Ops,
  w: AudioSubsampling,
  mel: Tensor,
  config: Gemma3nAudioConfig,
): Tensor {
  let x = ops.reshape(mel, [...mel.shape, 1]);
  for (const [i, { conv, norm }] of w.convolutions.entries()) {
    x = ops.conv2d(x, conv, {
      stride: config.sscpConvStrideSize[i]!,
      padding: convolutionPadding(config, i),
    });
    x = ops.cumulativeGroupNorm(x, norm, config.sscpConvGroupNormEps);
    x = ops.relu(x); // [time, frequency, channel]
  }
  const [frames, frequencies, channels] = x.shape;
  const flat = ops.reshape(x, [frames!, frequencies! * channels!]);
  return ops.matmul(flat, w.inputProjLinear);
}
