// WAV files to mono samples.
import { InputError, UnsupportedError } from "../core/errors.ts";
import type { DecodeAudioOptions, DecodedSound } from "./decoded_sound.ts";
import { createPacer } from "./pacer.ts";

const PCM = 1;
const IEEE_FLOAT = 3;
const EXTENSIBLE = 0xfffe;

/** Encodings that cannot be read, for the message. */
const OTHER_ENCODINGS: Readonly<Record<number, string>> = {
  2: "ADPCM",
  6: "A-law",
  7: "mu-law",
  17: "IMA ADPCM",
  85: "MP3",
};

// Programs that write to a pipe do not know the length and claim 2 or 4 GB.
const UNKNOWN_LENGTH = 0x7fff_0000;

// Frames between looks at the clock.
const STEP_FRAMES = 2 ** 16;

interface WavFormat {
  readonly encoding: number;
  readonly channels: number;
  readonly samplingRate: number;
  /** Bytes of one sample of one channel. */
  readonly sampleBytes: number;
}

type ReadSample = (view: DataView, offset: number) => number;

/**
 * Decodes a WAV file (PCM of 8, 16, 24 or 32 bits, float of 32 or 64, plain or
 * extensible) to the mean of its channels.
 *
 * @throws {InputError} When the bytes are no WAV file, end early or are damaged.
 * @throws {UnsupportedError} When the samples are encoded in another way.
 */
export async function decodeWav(
  bytes: Uint8Array,
  { maxSeconds = Infinity, ...options }: DecodeAudioOptions = {},
): Promise<DecodedSound> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { format, first, length } = findChunks(view);
  const { channels, sampleBytes, samplingRate } = format;
  const read = sampleReader(format);
  const frameBytes = channels * sampleBytes;
  const frames = Math.floor(length / frameBytes);
  const data = new Float32Array(
    Math.min(frames, Math.ceil(maxSeconds * samplingRate)),
  );
  const pace = createPacer(options);
  let offset = first;
  for (let i = 0; i < data.length; i++) {
    if (i % STEP_FRAMES === 0) await pace();
    let sum = 0;
    for (let channel = 0; channel < channels; channel++) {
      sum += read(view, offset);
      offset += sampleBytes;
    }
    data[i] = sum / channels;
  }
  return { data, samplingRate, seconds: frames / samplingRate };
}

function findChunks(
  view: DataView,
): { format: WavFormat; first: number; length: number } {
  if (
    view.byteLength < 12 || tag(view, 0) !== "RIFF" || tag(view, 8) !== "WAVE"
  ) {
    throw new InputError(
      "Cannot decode the audio: it does not begin with a WAV header",
    );
  }
  let format: WavFormat | undefined;
  let offset = 12;
  while (offset + 8 <= view.byteLength) {
    const name = tag(view, offset);
    const claimed = view.getUint32(offset + 4, true);
    const first = offset + 8;
    const available = view.byteLength - first;
    if (name === "data" && format !== undefined) {
      const length = claimed >= UNKNOWN_LENGTH ? available : claimed;
      checkLength(name, length, available);
      return { format, first, length };
    }
    checkLength(name, claimed, available);
    if (name === "fmt ") format = readFormat(view, first, claimed);
    // Chunks begin at even offsets.
    offset = first + claimed + claimed % 2;
  }
  throw new InputError(
    `Cannot decode the audio: the WAV file has no "${
      format === undefined ? "fmt " : "data"
    }" chunk`,
  );
}

function checkLength(name: string, length: number, available: number): void {
  if (length <= available) return;
  throw new InputError(
    `Cannot decode the audio: the WAV chunk "${name}" claims ${length} bytes, ${available} are left`,
  );
}

function readFormat(view: DataView, first: number, length: number): WavFormat {
  if (length < 16) {
    throw new InputError(
      `Cannot decode the audio: the WAV chunk "fmt " has ${length} bytes, 16 are needed`,
    );
  }
  let encoding = view.getUint16(first, true);
  // An extensible format begins its GUID with the encoding.
  if (encoding === EXTENSIBLE && length >= 26) {
    encoding = view.getUint16(first + 24, true);
  }
  const channels = view.getUint16(first + 2, true);
  const samplingRate = view.getUint32(first + 4, true);
  const frameBytes = view.getUint16(first + 12, true);
  const sampleBytes = frameBytes / channels;
  if (channels === 0 || samplingRate === 0 || !Number.isInteger(sampleBytes)) {
    throw new InputError(
      `Cannot decode the audio: the WAV header claims ${channels} channels, ${samplingRate} Hz and ${frameBytes} bytes a frame`,
    );
  }
  return { encoding, channels, samplingRate, sampleBytes };
}

function sampleReader({ encoding, sampleBytes }: WavFormat): ReadSample {
  const reader = encoding === PCM
    ? PCM_READERS[sampleBytes]
    : encoding === IEEE_FLOAT
    ? FLOAT_READERS[sampleBytes]
    : undefined;
  if (reader !== undefined) return reader;
  const name = encoding === PCM
    ? "PCM"
    : encoding === IEEE_FLOAT
    ? "float"
    : OTHER_ENCODINGS[encoding] ?? "an unknown encoding";
  throw new UnsupportedError(
    `Cannot decode the audio: its samples are ${name} (${encoding}) of ${
      sampleBytes * 8
    } bits; PCM of 8, 16, 24 and 32 bits and float of 32 and 64 are supported`,
  );
}

/** By bytes a sample; 8 bits are unsigned, all others signed. */
const PCM_READERS: Readonly<Record<number, ReadSample>> = {
  1: (view, offset) => (view.getUint8(offset) - 128) / 2 ** 7,
  2: (view, offset) => view.getInt16(offset, true) / 2 ** 15,
  3: (view, offset) =>
    (view.getUint8(offset) + view.getInt16(offset + 1, true) * 256) / 2 ** 23,
  4: (view, offset) => view.getInt32(offset, true) / 2 ** 31,
};

const FLOAT_READERS: Readonly<Record<number, ReadSample>> = {
  4: (view, offset) => view.getFloat32(offset, true),
  8: (view, offset) => view.getFloat64(offset, true),
};

function tag(view: DataView, offset: number): string {
  return String.fromCharCode(
    ...[0, 1, 2, 3].map((i) => view.getUint8(offset + i)),
  );
}
