// Log-mel features, the definition of Transformers' Gemma3nAudioFeatureExtractor.
import { freeing } from "./codec_module.ts";
import { soundCodecs } from "./codecs.ts";
import { createPacer, type PaceOptions } from "./pacer.ts";

/** Parameters of {@link logMel}; lengths in samples. */
export interface MelOptions {
  /** Samples per second. */
  readonly samplingRate: number;
  /** Length of a frame, before it is filled up with zeros to `fftLength`. */
  readonly frameLength: number;
  /** Distance between the starts of frames. */
  readonly hopLength: number;
  /** Length of the Fourier transform, a power of two. */
  readonly fftLength: number;
  /** Number of mel filters, M. */
  readonly featureSize: number;
  /** Lower edge of the first filter, in hertz. */
  readonly minFrequency: number;
  /** Upper edge of the last filter, in hertz. */
  readonly maxFrequency: number;
  /** Pre-emphasis coefficient; 0 for none. */
  readonly preemphasis: number;
  /** Whether pre-emphasis stays inside the frame, as in HTK. */
  readonly preemphasisHtkFlavor: boolean;
  /** Factor on the samples. */
  readonly inputScaleFactor: number;
  /** Smallest mel value before the logarithm. */
  readonly melFloor: number;
}

// About 4 ms of work.
const STEP_FRAMES = 64;

/** Frames in so many samples; a frame takes one sample more than its length. */
export function melFrameCount(
  samples: number,
  { frameLength, hopLength }: Pick<MelOptions, "frameLength" | "hopLength">,
): number {
  return Math.max(0, Math.floor((samples - frameLength - 1) / hopLength) + 1);
}

/**
 * Log-mel features of mono samples -> `[F, M]`, F as {@link melFrameCount}.
 *
 * @throws {InputError} When the options do not fit together.
 */
export function logMel(
  samples: Float32Array,
  mel: MelOptions,
  options: PaceOptions = {},
): Promise<Float32Array> {
  return soundCodecs.run("Cannot compute mel features", (codecs) => {
    const extractor = new codecs.LogMel(
      mel.samplingRate,
      mel.frameLength,
      mel.hopLength,
      mel.fftLength,
      mel.featureSize,
      mel.minFrequency,
      mel.maxFrequency,
      mel.preemphasis,
      mel.preemphasisHtkFlavor,
      mel.inputScaleFactor,
      mel.melFloor,
    );
    return freeing(extractor, async (extractor) => {
      const pace = createPacer(options);
      const frames = melFrameCount(samples.length, mel);
      const out = new Float32Array(frames * mel.featureSize);
      for (let first = 0; first < frames; first += STEP_FRAMES) {
        await pace();
        const count = Math.min(STEP_FRAMES, frames - first);
        const start = first * mel.hopLength;
        const end = start + (count - 1) * mel.hopLength + mel.frameLength + 1;
        const part = extractor.features(samples.subarray(start, end));
        out.set(part, first * mel.featureSize);
      }
      return out;
    });
  });
}
