/* tslint:disable */
/* eslint-disable */

/**
 * A decoded picture, 8-bit RGB.
 */
export class DecodedImage {
    private constructor();
    free(): void;
    [Symbol.dispose](): void;
    /**
     * Gives the pixels away: `[height, width, 3]`.
     */
    intoData(): Uint8Array;
    readonly height: number;
    readonly width: number;
}

/**
 * See [`image_decoder::ImageDecoder`].
 */
export class ImageDecoder {
    free(): void;
    [Symbol.dispose](): void;
    /**
     * The picture, when all steps are done.
     */
    intoImage(): DecodedImage;
    /**
     * Tells the format; refuses pictures of more than `maxPixels` pixels.
     */
    constructor(bytes: Uint8Array | number[], maxPixels: number);
    /**
     * Does about `pixels` pixels of the work; true when nothing is left.
     */
    step(pixels: number): boolean;
}

/**
 * See [`Resizer`].
 */
export class ImageResizer {
    free(): void;
    [Symbol.dispose](): void;
    constructor(width: number, height: number, newWidth: number, newHeight: number);
    /**
     * Output rows `first .. first + count`: `[count, newWidth, 3]`.
     */
    outputRows(first: number, count: number): Uint8Array;
    /**
     * Takes the next input rows: `[rows, width, 3]`.
     */
    pushRows(rows: Uint8Array | number[]): void;
}

export function __wbg_reset_state(): void;

/**
 * Bytes of memory in use; it never shrinks while an instance lives.
 */
export function memoryBytes(): number;

export type InitInput = RequestInfo | URL | Response | BufferSource | WebAssembly.Module;

export interface InitOutput {
    readonly memory: WebAssembly.Memory;
    readonly __wbg_decodedimage_free: (a: number, b: number) => void;
    readonly __wbg_imagedecoder_free: (a: number, b: number) => void;
    readonly __wbg_imageresizer_free: (a: number, b: number) => void;
    readonly decodedimage_height: (a: number) => number;
    readonly decodedimage_intoData: (a: number) => [number, number];
    readonly decodedimage_width: (a: number) => number;
    readonly imagedecoder_intoImage: (a: number) => [number, number, number];
    readonly imagedecoder_new: (a: number, b: number, c: number) => [number, number, number];
    readonly imagedecoder_step: (a: number, b: number) => [number, number, number];
    readonly imageresizer_new: (a: number, b: number, c: number, d: number) => [number, number, number];
    readonly imageresizer_outputRows: (a: number, b: number, c: number) => [number, number, number, number];
    readonly imageresizer_pushRows: (a: number, b: number, c: number) => [number, number];
    readonly memoryBytes: () => number;
    readonly __wbindgen_externrefs: WebAssembly.Table;
    readonly __wbindgen_free: (a: number, b: number, c: number) => void;
    readonly __externref_table_dealloc: (a: number) => void;
    readonly __wbindgen_malloc: (a: number, b: number) => number;
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
