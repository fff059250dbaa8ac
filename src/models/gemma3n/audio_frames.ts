// How many frames a clip has at each stage of the audio tower, and which of
// them hold sound.
import { InputError } from "../../core/errors.ts";
import type { Padding } from "../../ops/ops.ts";
import type { Gemma3nAudioConfig } from "./config.ts";

/**
 * Zeros around the input of convolution `index`: in time all of them after the
 * clip, so that output t starts at frame t * stride; in frequency one on each
 * side whatever the kernel.
 */
export function convolutionPadding(
  config: Gemma3nAudioConfig,
  index: number,
): Padding {
  const [kernelTime] = config.sscpConvKernelSize[index]!;
  return { top: 0, bottom: kernelTime - 1, left: 1, right: 1 };
}

/** Frames and frequencies that convolution `index` makes of `[frames, frequencies]`. */
export function convolutionOutput(
  config: Gemma3nAudioConfig,
  index: number,
  [frames, frequencies]: readonly [number, number],
): [number, number] {
  const [kernelTime, kernelFrequency] = config.sscpConvKernelSize[index]!;
  const [strideTime, strideFrequency] = config.sscpConvStrideSize[index]!;
  const { top, bottom, left, right } = convolutionPadding(config, index);
  const steps = (padded: number, kernel: number, stride: number) =>
    Math.floor((padded - kernel) / stride) + 1;
  return [
    steps(frames + top + bottom, kernelTime, strideTime),
    steps(frequencies + left + right, kernelFrequency, strideFrequency),
  ];
}

/** Frames of the conformer for a clip of `melFrames`. */
export function conformerFrames(
  config: Gemma3nAudioConfig,
  melFrames: number,
): number {
  return config.sscpConvKernelSize.reduce(
    (frames, _, i) => convolutionOutput(config, i, [frames, 0])[0],
    melFrames,
  );
}

/** Soft tokens the encoder makes of a clip of `melFrames`, padded ones included. */
export function audioSoftTokens(
  config: Gemma3nAudioConfig,
  melFrames: number,
): number {
  return Math.ceil(
    conformerFrames(config, melFrames) / config.confReductionFactor,
  );
}

/**
 * The mask of the conformer's frames, each taken from the first mel frame it
 * is made of: `[F]` -> `[T]`, 1 = sound, 0 = padding.
 *
 * @throws {InputError} When there are no frames.
 */
export function conformerMask(
  config: Gemma3nAudioConfig,
  mask: Uint8Array,
): Uint8Array {
  if (mask.length === 0) {
    throw new InputError("Cannot encode the audio: it has no mel frames");
  }
  const stride = config.sscpConvStrideSize.reduce(
    (product, [time]) => product * time,
    1,
  );
  return Uint8Array.from(
    { length: conformerFrames(config, mask.length) },
    (_, t) => mask[Math.min(t * stride, mask.length - 1)]!,
  );
}
