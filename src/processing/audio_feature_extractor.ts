// Clips to log-mel features and their mask, as Transformers'
// Gemma3nAudioFeatureExtractor makes them.
import { decodeAudio } from "../codecs/decode_audio.ts";
import { logMel, melFrameCount } from "../codecs/log_mel.ts";
import type { DecodedSound } from "../codecs/decoded_sound.ts";
import type { PaceOptions } from "../codecs/pacer.ts";
import { resampleAudio } from "../codecs/resample_audio.ts";
import { InputError } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import { hostTensor } from "../core/tensor.ts";
import {
  type AudioFeatureConfig,
  readAudioFeatureConfig,
} from "./audio_feature_config.ts";
import type { AudioFeatures, AudioInput, DecodedAudio } from "./media.ts";
import { encodedBytes, isEncoded } from "./media_bytes.ts";

// Defaults of the feature extractor's call: 30 s, and rows of the TPU.
const MAX_SAMPLES = 480_000;
const PAD_TO_MULTIPLE_OF = 128;

// What is decoded beyond them, for the resampler.
const LOOKAHEAD_SECONDS = 1;

/** Options of {@link Gemma3nAudioFeatureExtractor}. */
export interface AudioFeatureExtractorOptions extends PaceOptions {
  /** Gets what a careful user should know, such as a clip that is cut. */
  readonly onWarning?: ((warning: string) => void) | undefined;
}

/**
 * Turns clips into what the audio tower takes.
 *
 * @example
 * ```ts
 * import { Gemma3nAudioFeatureExtractor } from "@g3n/core";
 *
 * const extractor = new Gemma3nAudioFeatureExtractor({ sampling_rate: 16_000 });
 * const second = Float32Array.from({ length: 16_000 }, (_, i) => Math.sin(i / 6));
 * const { inputFeatures } = await extractor.process([second]);
 * console.log(inputFeatures.shape); // [1, F, 128]
 * ```
 */
export class Gemma3nAudioFeatureExtractor {
  /** What the config says. */
  readonly config: AudioFeatureConfig;
  readonly #options: AudioFeatureExtractorOptions;

  /**
   * Reads the parsed preprocessor_config.json, or the `feature_extractor` of
   * processor_config.json.
   *
   * @throws {CheckpointError} When a field has the wrong type or range.
   * @throws {UnsupportedError} When it asks for dither or for padding on the left.
   */
  constructor(config: JsonObject, options: AudioFeatureExtractorOptions = {}) {
    this.config = readAudioFeatureConfig(config);
    this.#options = options;
  }

  /**
   * C clips -> features float32 `[C, F, M]` and mask uint8 `[C, F]`, 1 = a
   * frame that starts inside the clip. Clips are padded to the longest, and
   * cut at 30 s with a warning; rates other than the config's are converted.
   *
   * @throws {InputError} When a clip cannot be decoded, is empty or holds
   * values that are not finite, or all are shorter than a frame (32 ms).
   */
  async process(clips: readonly AudioInput[]): Promise<AudioFeatures> {
    if (clips.length === 0) {
      throw new InputError("Cannot extract audio features: there is no clip");
    }
    const { mel, perBinMean, perBinStddev, paddingValue } = this.config;
    const samples: Float32Array[] = [];
    for (const [i, clip] of clips.entries()) {
      samples.push(await this.#samples(clip, i));
    }
    const longest = Math.max(...samples.map((clip) => clip.length));
    const padded = Math.ceil(longest / PAD_TO_MULTIPLE_OF) * PAD_TO_MULTIPLE_OF;
    const frames = melFrameCount(padded, mel);
    if (frames === 0) {
      throw new InputError(
        `Cannot extract audio features: the longest clip has ${longest} samples, at least ${
          mel.frameLength + 1
        } are needed`,
      );
    }
    const bins = mel.featureSize;
    const features = new Float32Array(clips.length * frames * bins);
    const mask = new Uint8Array(clips.length * frames);
    for (const [i, clip] of samples.entries()) {
      const filled = new Float32Array(padded).fill(paddingValue, clip.length);
      filled.set(clip);
      const logMels = await logMel(filled, mel, this.#options);
      normalize(logMels, perBinMean, perBinStddev);
      features.set(logMels, i * frames * bins);
      const valid = Math.ceil(clip.length / mel.hopLength);
      mask.fill(1, i * frames, i * frames + Math.min(valid, frames));
    }
    return {
      inputFeatures: hostTensor(
        "float32",
        [clips.length, frames, bins],
        features,
      ),
      inputFeaturesMask: hostTensor("uint8", [clips.length, frames], mask),
    };
  }

  /** Samples at the config's rate, at most {@link MAX_SAMPLES}. */
  async #samples(clip: AudioInput, index: number): Promise<Float32Array> {
    const rate = this.config.mel.samplingRate;
    const maxSeconds = MAX_SAMPLES / rate;
    const { data, samplingRate, seconds } = await this.#decoded(clip, index);
    if (data.length === 0) {
      throw new InputError(
        `Cannot extract audio features: clip ${index} has no samples`,
      );
    }
    if (seconds === undefined || seconds > maxSeconds) {
      const length = seconds === undefined
        ? `more than ${maxSeconds} s`
        : `${seconds.toFixed(1)} s`;
      this.#options.onWarning?.(
        `Audio clip ${index} has ${length}, only the first ${maxSeconds} s are used; split longer clips`,
      );
    }
    const needed = data.subarray(
      0,
      Math.ceil((maxSeconds + LOOKAHEAD_SECONDS) * samplingRate),
    );
    checkFinite(needed, index);
    if (samplingRate === rate) return needed.subarray(0, MAX_SAMPLES);
    const rates = { from: samplingRate, to: rate };
    const resampled = await resampleAudio(needed, rates, this.#options);
    return resampled.subarray(0, MAX_SAMPLES);
  }

  async #decoded(clip: AudioInput, index: number): Promise<DecodedSound> {
    const rate = this.config.mel.samplingRate;
    if (isEncoded(clip)) {
      const bytes = await encodedBytes(clip);
      const maxSeconds = MAX_SAMPLES / rate + LOOKAHEAD_SECONDS;
      return await decodeAudio(bytes, { ...this.#options, maxSeconds });
    }
    const { data, samplingRate }: Partial<DecodedAudio> =
      clip instanceof Float32Array
        ? { data: clip, samplingRate: rate }
        : clip ?? {};
    if (
      data instanceof Float32Array && Number.isInteger(samplingRate) &&
      samplingRate! > 0
    ) {
      return {
        data,
        samplingRate: samplingRate!,
        seconds: data.length / samplingRate!,
      };
    }
    throw new InputError(
      `Cannot extract audio features: clip ${index} is neither bytes of a sound file (WAV, FLAC, MP3 or Ogg Vorbis), nor a Float32Array, nor { data: Float32Array, samplingRate } with a whole number of hertz`,
    );
  }
}

/** The mel floor would turn NaN into silence. */
function checkFinite(data: Float32Array, index: number): void {
  const at = data.findIndex((sample) => !Number.isFinite(sample));
  if (at >= 0) {
    throw new InputError(
      `Cannot extract audio features: sample ${at} of clip ${index} is ${
        data[at]
      }`,
    );
  }
}

/** `(x - mean) / deviation` for each mel bin, in place. */
function normalize(
  features: Float32Array,
  mean: readonly number[] | undefined,
  deviation: readonly number[] | undefined,
): void {
  const bins = mean?.length ?? deviation?.length;
  if (bins === undefined) return;
  for (let i = 0; i < features.length; i++) {
    const bin = i % bins;
    features[i] = (features[i]! - (mean?.[bin] ?? 0)) / (deviation?.[bin] ?? 1);
  }
}
