// What the decoders of sound take and give.
import type { PaceOptions } from "./pacer.ts";

/** Options of the decoders. */
export interface DecodeAudioOptions extends PaceOptions {
  /** Decodes no more than so many seconds. Default: all. */
  readonly maxSeconds?: number | undefined;
}

/** Decoded sound, and how much of it the file has. */
export interface DecodedSound {
  /** Mono samples in -1..1. */
  readonly data: Float32Array;
  /** Samples per second. */
  readonly samplingRate: number;
  /**
   * Seconds of the whole file; `undefined` when `data` is its beginning and
   * the file does not tell.
   */
  readonly seconds: number | undefined;
}
