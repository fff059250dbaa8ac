// Encoded sound to mono samples: tells the format by its first bytes.
import { InputError } from "../core/errors.ts";
import { decodeWav, type MonoAudio } from "./decode_wav.ts";
import type { PaceOptions } from "./pacer.ts";

/** Formats known by their first bytes but not decoded, for the message. */
const OTHER_SIGNATURES: readonly (readonly [string, string])[] = [
  ["fLaC", "FLAC"],
  ["OggS", "Ogg"],
  ["ID3", "MP3"],
  ["\xff\xfb", "MP3"],
  ["FORM", "AIFF"],
  ["RF64", "RF64"],
];

/**
 * Decodes a WAV file to the mean of its channels, at its own rate.
 *
 * @throws {InputError} When the bytes are something else, end early or are damaged.
 * @throws {UnsupportedError} When the samples are encoded in an unknown way.
 */
export async function decodeAudio(
  bytes: Uint8Array,
  options: PaceOptions = {},
): Promise<MonoAudio> {
  const start = String.fromCharCode(...bytes.subarray(0, 4));
  if (start === "RIFF") return await decodeWav(bytes, options);
  if (bytes.length === 0) {
    throw new InputError("Cannot decode the audio: it has 0 bytes");
  }
  const shown = Array.from(
    bytes.subarray(0, 4),
    (byte) => byte.toString(16).padStart(2, "0"),
  ).join(" ");
  const known = OTHER_SIGNATURES.find(([signature]) =>
    start.startsWith(signature)
  );
  throw new InputError(
    `Cannot decode the audio: the first bytes are ${shown}${
      known === undefined ? "" : ` (${known[1]})`
    }; WAV is supported`,
  );
}
