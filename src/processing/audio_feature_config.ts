// The feature extractor's part of processor_config.json, with Transformers'
// defaults.
import type { MelOptions } from "../codecs/log_mel.ts";
import { UnsupportedError } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import { JsonFields } from "../core/json_fields.ts";

/** What a feature extractor's config says. */
export interface AudioFeatureConfig {
  /** Parameters of the log-mel features. */
  readonly mel: MelOptions;
  /** Subtracted from the features, one per mel bin. */
  readonly perBinMean: readonly number[] | undefined;
  /** Divides the features, one per mel bin. */
  readonly perBinStddev: readonly number[] | undefined;
  /** Samples that short clips are filled up with. */
  readonly paddingValue: number;
}

/**
 * Reads a feature extractor's config.
 *
 * `frame_length`, `hop_length` and `fft_length` are results that Transformers
 * writes and never reads: it derives them from milliseconds, whose defaults
 * are 32 and 10, and so does this.
 *
 * @throws {CheckpointError} When a field has the wrong type or range.
 * @throws {UnsupportedError} When it asks for dither or for padding on the left.
 */
export function readAudioFeatureConfig(config: JsonObject): AudioFeatureConfig {
  const fields = new JsonFields(config, "the feature extractor's config");
  if (fields.number("dither", 0) > 0) {
    throw new UnsupportedError(
      'Cannot extract audio features with "dither": random noise is not supported; set it to 0',
    );
  }
  const side = fields.string("padding_side", "right");
  if (side !== "right") {
    throw new UnsupportedError(
      `Cannot extract audio features with "padding_side": "${side}"; only "right" is supported`,
    );
  }
  const featureSize = fields.integer("feature_size", 128, {
    min: 1,
    max: 1024,
  });
  const perBin = (key: string) =>
    fields.has(key) ? fields.numbers(key, featureSize) : undefined;
  return {
    mel: readMelOptions(fields, featureSize),
    perBinMean: perBin("per_bin_mean"),
    perBinStddev: perBin("per_bin_stddev"),
    paddingValue: fields.number("padding_value", 0),
  };
}

function readMelOptions(fields: JsonFields, featureSize: number): MelOptions {
  const samplingRate = fields.integer("sampling_rate", 16000, {
    min: 1000,
    max: 384_000,
  });
  const length = (key: string, fallback: number) => {
    const ms = fields.number(key, fallback, { min: 1, max: 1000 });
    return Math.round(samplingRate * ms / 1000);
  };
  const frameLength = length("frame_length_ms", 32);
  const fftLength = 2 ** Math.ceil(Math.log2(frameLength));
  return {
    samplingRate,
    frameLength,
    hopLength: length("hop_length_ms", 10),
    fftLength: fields.boolean("fft_overdrive", true)
      ? fftLength * 2
      : fftLength,
    featureSize,
    minFrequency: fields.number("min_frequency", 125, { min: 0 }),
    maxFrequency: fields.number("max_frequency", 7600, { min: 0 }),
    preemphasis: fields.number("preemphasis", 0.97),
    preemphasisHtkFlavor: fields.boolean("preemphasis_htk_flavor", true),
    inputScaleFactor: fields.number("input_scale_factor", 1),
    melFloor: fields.number("mel_floor", 1e-5, { min: 0 }),
  };
}
