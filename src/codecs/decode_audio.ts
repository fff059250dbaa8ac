// Encoded sound to mono samples. WAV is read here, compressed formats by the
// module of sound, which tells them by their first bytes.
import { freeing } from "./codec_module.ts";
import { soundCodecs } from "./codecs.ts";
import { decodeWav } from "./decode_wav.ts";
import type { DecodeAudioOptions, DecodedSound } from "./decoded_sound.ts";
import { createPacer } from "./pacer.ts";

// About 4 ms of work.
const STEP_SAMPLES = 2 ** 15;

/**
 * Decodes WAV, FLAC, MP3 or Ogg Vorbis to the mean of its channels, at its own
 * rate.
 *
 * @throws {InputError} When the bytes are something else, end early or are
 * damaged.
 * @throws {UnsupportedError} When the samples of a WAV file are encoded in an
 * unknown way.
 */
export async function decodeAudio(
  bytes: Uint8Array,
  options: DecodeAudioOptions = {},
): Promise<DecodedSound> {
  const start = String.fromCharCode(...bytes.subarray(0, 4));
  if (start === "RIFF") return await decodeWav(bytes, options);
  return await soundCodecs.run(
    "Cannot decode the audio",
    (codecs) =>
      freeing(
        new codecs.AudioDecoder(bytes),
        (decoder) => decodeCompressed(decoder, options),
      ),
  );
}

/** The part of the module's decoder that is used here. */
interface CompressedAudio {
  readonly samplingRate: number;
  readonly totalSamples: number | undefined;
  step(count: number): Float32Array;
}

async function decodeCompressed(
  decoder: CompressedAudio,
  { maxSeconds = Infinity, ...options }: DecodeAudioOptions,
): Promise<DecodedSound> {
  const pace = createPacer(options);
  const { samplingRate, totalSamples } = decoder;
  const wanted = Math.ceil(maxSeconds * samplingRate);
  const parts: Float32Array[] = [];
  let length = 0;
  let ended = false;
  while (!ended && length < wanted) {
    await pace();
    const count = Math.min(STEP_SAMPLES, wanted - length);
    const part = decoder.step(count);
    ended = part.length < count;
    parts.push(part);
    length += part.length;
  }
  const data = new Float32Array(Math.min(length, wanted));
  let offset = 0;
  for (const part of parts) {
    data.set(part.subarray(0, data.length - offset), offset);
    offset += part.length;
  }
  return { data, samplingRate, seconds: wholeSeconds() };

  function wholeSeconds(): number | undefined {
    if (ended) return length / samplingRate;
    if (totalSamples === undefined) return undefined;
    // What a file tells may be less than it has.
    return Math.max(totalSamples, length) / samplingRate;
  }
}
