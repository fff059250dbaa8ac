// The audio tower: a USM conformer over mel frames, as in Transformers'
// Gemma3nAudioEncoder. One clip at a time.
import { InputError } from "../../core/errors.ts";
import { formatShape, sameShape } from "../../core/shape.ts";
import type { HostTensor } from "../../core/tensor.ts";
import type { Device } from "../../ops/device.ts";
import type { Ops, Tensor } from "../../ops/ops.ts";
import {
  type AudioContext,
  relativePositionSinusoids,
} from "./audio_attention.ts";
import { conformerBlock } from "./audio_conformer.ts";
import { conformerMask } from "./audio_frames.ts";
import { subsampleConvProjection } from "./audio_subsampling.ts";
import type { AudioEncoder, AudioTower } from "./audio_weights.ts";
import type { Gemma3nAudioConfig } from "./config.ts";
import { embedSoftTokens } from "./multimodal_embedder.ts";

/** A clip in the step being recorded. */
export interface AudioClip {
  /** `[F, M]` mel frames, padded ones included. */
  readonly mel: Tensor;
  /** What the layers share. */
  readonly ctx: AudioContext;
  /** `[S]`, 1 = sound, 0 = padding: the mask of the encoder's output. */
  readonly mask: Uint8Array;
}

/**
 * Uploads a clip: features `[F, M]` and their mask `[F]`, 1 = sound.
 *
 * The frames that pad a clip to the longest of its batch belong to it: they
 * decide how many soft tokens it has.
 *
 * @throws {InputError} When the clip is empty or its shapes do not fit the model.
 */
export function uploadAudio(
  device: Device,
  config: Gemma3nAudioConfig,
  features: HostTensor<"float32">,
  mask: Uint8Array,
): AudioClip {
  const wanted = [mask.length, config.inputFeatSize];
  if (!sameShape(features.shape, wanted)) {
    throw new InputError(
      `Cannot encode the audio: its features are ${
        formatShape(features.shape)
      }, its mask and the model want ${formatShape(wanted)}`,
    );
  }
  const valid = conformerMask(config, mask);
  const sinusoids = relativePositionSinusoids(config);
  return {
    mel: device.upload(features.data, features.shape),
    ctx: {
      config,
      valid: device.upload(Float32Array.from(valid), [valid.length]),
      sinusoids: device.upload(sinusoids, [
        sinusoids.length / config.hiddenSize,
        config.hiddenSize,
      ]),
    },
    mask: valid.filter((_, t) => t % config.confReductionFactor === 0),
  };
}

/**
 * Encodes mel frames, `[F, M] -> [S, D]`: subsampled by the convolutions to
 * `[T, D]`, then every `confReductionFactor`-th frame of the last block's
 * output. Rows of padding are zeros.
 */
export function audioEncoder(
  ops: Ops,
  w: AudioEncoder,
  mel: Tensor,
  ctx: AudioContext,
): Tensor {
  let x = subsampleConvProjection(
    ops,
    w.subsampleConvProjection,
    mel,
    ctx.config,
  );
  for (const block of w.conformer) x = conformerBlock(ops, block, x, ctx);
  const stride = ctx.config.confReductionFactor;
  const kept = Int32Array.from(
    { length: Math.ceil(x.shape[0]! / stride) },
    (_, s) => s * stride,
  );
  return ops.gatherRows([ops.scaleRows(x, ctx.valid)], kept);
}

/**
 * Soft tokens of a clip for the decoder, `[F, M] -> [S, D]` with the decoder's
 * D. Rows of padding are zeros, which the decoder must not see: the caller puts
 * the embedding of the padding token there.
 */
export function audioFeatures(
  ops: Ops,
  w: AudioTower,
  mel: Tensor,
  ctx: AudioContext,
): Tensor {
  const record = () =>
    embedSoftTokens(ops, w.embedder, audioEncoder(ops, w.encoder, mel, ctx));
  const inputs = [mel, ctx.valid, ctx.sinusoids];
  return ops.repeat?.(w, inputs, record) ?? record();
}
