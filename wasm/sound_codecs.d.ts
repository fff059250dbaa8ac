/* tslint:disable */
/* eslint-disable */

/**
 * See [`audio_decoder::AudioDecoder`].
 */
export class AudioDecoder {
    free(): void;
    [Symbol.dispose](): void;
    /**
     * Tells the format and reads the headers.
     */
    constructor(bytes: Uint8Array | number[]);
    /**
     * The next mono samples: at least `count`, fewer only at the end.
     */
    step(count: number): Float32Array;
    readonly samplingRate: number;
    /**
     * Samples of the whole file, where it tells.
     */
    readonly totalSamples: number | undefined;
}

/**
 * See [`Resampler`].
 */
export class AudioResampler {
    free(): void;
    [Symbol.dispose](): void;
    /**
     * Prepares to convert `input` between rates in hertz.
     */
    constructor(input: Float32Array | number[], from: number, to: number);
    /**
     * Outputs `first .. first + count`, fewer at the end.
     */
    output(first: number, count: number): Float32Array;
    readonly outputLength: number;
}

/**
 * See [`MelExtractor`].
 */
export class LogMel {
    free(): void;
    [Symbol.dispose](): void;
    /**
     * All whole frames of `samples`: `[frames, featureSize]`.
     */
    features(samples: Float32Array | number[]): Float32Array;
    /**
     * Number of whole frames in so many samples.
     */
    frameCount(samples: number): number;
    /**
     * Parameters as in the feature extractor; lengths in samples.
     */
    constructor(samplingRate: number, frameLength: number, hopLength: number, fftLength: number, featureSize: number, minFrequency: number, maxFrequency: number, preemphasis: number, preemphasisHtkFlavor: boolean, inputScaleFactor: number, melFloor: number);
}

export function __wbg_reset_state(): void;

/**
 * Bytes of memory in use; it never shrinks while an instance lives.
 */
export function memoryBytes(): number;

export type InitInput = RequestInfo | URL | Response | BufferSource | WebAssembly.Module;

export interface InitOutput {
    readonly memory: WebAssembly.Memory;
    readonly __wbg_audiodecoder_free: (a: number, b: number) => void;
    readonly __wbg_audioresampler_free: (a: number, b: number) => void;
    readonly __wbg_logmel_free: (a: number, b: number) => void;
    readonly audiodecoder_new: (a: number, b: number) => [number, number, number];
    readonly audiodecoder_samplingRate: (a: number) => number;
    readonly audiodecoder_step: (a: number, b: number) => [number, number, number, number];
    readonly audiodecoder_totalSamples: (a: number) => [number, number];
    readonly audioresampler_new: (a: number, b: number, c: number, d: number) => [number, number, number];
    readonly audioresampler_output: (a: number, b: number, c: number) => [number, number];
    readonly audioresampler_outputLength: (a: number) => number;
    readonly logmel_features: (a: number, b: number, c: number) => [number, number];
    readonly logmel_frameCount: (a: number, b: number) => number;
    readonly logmel_new: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number, i: number, j: number, k: number) => [number, number, number];
    readonly memoryBytes: () => number;
    readonly __wbindgen_externrefs: WebAssembly.Table;
    readonly __wbindgen_malloc: (a: number, b: number) => number;
    readonly __wbindgen_free: (a: number, b: number, c: number) => void;
    readonly __externref_table_dealloc: (a: number) => void;
    readonly __wbindgen_start: () => void;
}

export type SyncInitInput = BufferSource | WebAssembly.Module;

/**
 * Instantiates the given `module`, which can either be bytes or
 * a precompiled `WebAssembly.Module`.
 *
 * @param {{ module: SyncInitInput }} module - Passing `SyncInitInput` directly is deprecated.
 *
 * @returns {InitOutput}
 */
export function initSync(module: { module: SyncInitInput } | SyncInitInput): InitOutput;

/**
 * If `module_or_path` is {RequestInfo} or {URL}, makes a request and
 * for everything else, calls `WebAssembly.instantiate` directly.
 *
 * @param {{ module_or_path: InitInput | Promise<InitInput> }} module_or_path - Passing `InitInput` directly is deprecated.
 *
 * @returns {Promise<InitOutput>}
 */
export default function __wbg_init (module_or_path: { module_or_path: InitInput | Promise<InitInput> } | InitInput | Promise<InitInput>): Promise<InitOutput>;
