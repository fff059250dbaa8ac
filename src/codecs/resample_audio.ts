// Sampling-rate conversion.
import { freeing } from "./codec_module.ts";
import { soundCodecs } from "./codecs.ts";
import { createPacer, type PaceOptions } from "./pacer.ts";

/** Rates in hertz. */
export interface ResampleRates {
  /** Rate of the input. */
  readonly from: number;
  /** Rate of the output. */
  readonly to: number;
}

// Taps times outputs: about 4 ms of work at 44.1 kHz.
const STEP_SAMPLES = 2 ** 13;

/**
 * Converts mono samples to another rate by windowed sinc: pass band up to
 * 91.3 % of the lower Nyquist frequency, 100 dB of attenuation from it on, no
 * delay. Gives `ceil(samples.length * to / from)` samples.
 *
 * @throws {InputError} When a rate is not positive or they are more than
 * 64-fold apart.
 */
export function resampleAudio(
  samples: Float32Array,
  { from, to }: ResampleRates,
  options: PaceOptions = {},
): Promise<Float32Array> {
  return soundCodecs.run("Cannot resample the audio", (codecs) =>
    freeing(
      new codecs.AudioResampler(samples, from, to),
      async (resampler) => {
        const pace = createPacer(options);
        const out = new Float32Array(resampler.outputLength);
        for (let first = 0; first < out.length; first += STEP_SAMPLES) {
          await pace();
          out.set(resampler.output(first, STEP_SAMPLES), first);
        }
        return out;
      },
    ));
}
