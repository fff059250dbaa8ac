// What the processor needs from image and audio preprocessing, and how media
// that are only named (URLs, paths) get in.
import { InputError } from "../core/errors.ts";
import type { HostTensor } from "../core/tensor.ts";

/** Decoded picture: rows of 8-bit RGB or RGBA pixels. */
export interface DecodedImage {
  /** Pixels per row. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
  /** `width * height * channels` bytes, channels being 3 or 4. */
  readonly data: Uint8Array | Uint8ClampedArray;
}

/**
 * A picture: bytes of an image file (PNG, JPEG, WebP, GIF or BMP), decoded
 * pixels, which an `ImageData` is too, or an `ImageBitmap` where the runtime
 * has an `OffscreenCanvas`.
 */
export type ImageInput =
  | Uint8Array
  | ArrayBuffer
  | Blob
  | DecodedImage
  | ImageBitmap;

/** Decoded sound: mono samples in -1..1. */
export interface DecodedAudio {
  /** One sample per element. */
  readonly data: Float32Array;
  /** Samples per second. */
  readonly samplingRate: number;
}

/**
 * A clip: bytes of a sound file (WAV, FLAC, MP3 or Ogg Vorbis), samples with
 * their rate, or samples at 16 kHz.
 */
export type AudioInput =
  | Uint8Array
  | ArrayBuffer
  | Blob
  | Float32Array
  | DecodedAudio;

/** A picture, or the URL or path of one. */
export type ImageSource = ImageInput | string | URL;

/** A clip, or the URL or path of one. */
export type AudioSource = AudioInput | string | URL;

/** One item, the items of one text, or a list of items per text. */
export type MediaBatch<T> = T | readonly T[] | readonly (readonly T[])[];

/** Turns pictures into what the vision tower takes. */
export interface ImageProcessor {
  /** N pictures -> float32 `[N, 3, H, W]`. */
  process(
    images: readonly ImageInput[],
  ): Promise<HostTensor<"float32">> | HostTensor<"float32">;
}

/** What the audio tower takes. */
export interface AudioFeatures {
  /** Log-mel frames, float32 `[C, F, 128]`. */
  readonly inputFeatures: HostTensor<"float32">;
  /** uint8 `[C, F]`, 1 = a frame of the clip, 0 = padding. */
  readonly inputFeaturesMask: HostTensor<"uint8">;
}

/** Turns clips into what the audio tower takes. */
export interface AudioFeatureExtractor {
  /** C clips -> features padded to the longest. */
  process(clips: readonly AudioInput[]): Promise<AudioFeatures> | AudioFeatures;
}

/** Reads the bytes that a URL or path names. */
export type LoadMedia = (reference: string | URL) => Promise<Uint8Array>;

/**
 * Replaces URLs and paths by the bytes they name.
 *
 * @throws {InputError} When there is one and no `loadMedia`.
 */
export function loadReferences<T>(
  sources: readonly (T | string | URL)[],
  loadMedia: LoadMedia | undefined,
): Promise<(T | Uint8Array)[]> {
  return Promise.all(sources.map((source) => {
    if (typeof source !== "string" && !(source instanceof URL)) return source;
    if (loadMedia !== undefined) return loadMedia(source);
    throw new InputError(
      `Cannot load "${source}": the processor was made without "loadMedia"; pass the bytes instead`,
    );
  }));
}

/**
 * Flattens the media of a call, in order, and checks that each text has as
 * many as it has placeholders. A flat list is dealt out in order.
 *
 * @param noun - What they are, for messages: "images" or "audio clips".
 * @param placeholders - Number of placeholders in each text.
 * @param placeholder - The placeholder token, for messages.
 * @throws {InputError} When the numbers differ.
 */
export function matchMedia<T>(
  media: MediaBatch<T>,
  noun: string,
  placeholders: readonly number[],
  placeholder: string,
): T[] {
  const items: readonly unknown[] = Array.isArray(media) ? media : [media];
  const lists = items.filter((item) => Array.isArray(item)) as T[][];
  if (lists.length === 0) {
    const total = placeholders.reduce((sum, count) => sum + count, 0);
    checkCount(items.length, total, noun, placeholder, "the text");
    return items as T[];
  }
  if (lists.length !== items.length) {
    throw new InputError(
      `Cannot match ${noun} to texts: a list mixes ${noun} and lists of them; pass one list per text`,
    );
  }
  if (lists.length !== placeholders.length) {
    throw new InputError(
      `Cannot match ${noun} to texts: there are ${lists.length} lists of ${noun} and ${placeholders.length} texts`,
    );
  }
  lists.forEach((list, i) => {
    checkCount(
      list.length,
      placeholders[i]!,
      noun,
      placeholder,
      lists.length > 1 ? `text ${i}` : "the text",
    );
  });
  return lists.flat() as T[];
}

function checkCount(
  found: number,
  wanted: number,
  noun: string,
  placeholder: string,
  where: string,
): void {
  if (found === wanted) return;
  throw new InputError(
    `Cannot match ${noun} to placeholders: ${where} has "${placeholder}" ${wanted} times, ${found} ${noun} were given; give as many as there are placeholders`,
  );
}
