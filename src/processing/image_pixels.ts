// Pictures that are decoded already, in any of the usual forms, to RGB.
import type { RgbImage } from "../codecs/decode_image.ts";
import { InputError, UnsupportedError } from "../core/errors.ts";
import type { DecodedImage, ImageInput } from "./media.ts";

/** Options of {@link rgbPixels}. */
export interface RgbPixelsOptions {
  /** Whether alpha may be dropped. */
  readonly convertRgb: boolean;
}

/**
 * RGB of decoded pixels or of an ImageBitmap; alpha is dropped without
 * blending.
 *
 * @throws {InputError} When it is none of these, or size and data differ.
 * @throws {UnsupportedError} When there is alpha where the config forbids
 * conversion, or an ImageBitmap where the runtime has no OffscreenCanvas that
 * draws.
 */
export function rgbPixels(
  input: Exclude<ImageInput, Uint8Array | ArrayBuffer | Blob>,
  { convertRgb }: RgbPixelsOptions,
): RgbImage {
  const { width, height, data } = decodedPixels(input);
  const pixels = width * height;
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.length);
  if (pixels > 0 && bytes.length === pixels * 3) {
    return { width, height, data: bytes };
  }
  if (pixels <= 0 || bytes.length !== pixels * 4) {
    throw new InputError(
      `Cannot process the image: ${width}x${height} takes ${
        pixels * 3
      } bytes of RGB or ${pixels * 4} of RGBA, the data has ${bytes.length}`,
    );
  }
  if (!convertRgb) {
    throw new UnsupportedError(
      'Cannot process RGBA pixels: the config has "do_convert_rgb": false; pass RGB',
    );
  }
  return { width, height, data: dropAlpha(bytes, pixels) };
}

function decodedPixels(input: DecodedImage | ImageBitmap): DecodedImage {
  if (typeof ImageBitmap !== "undefined" && input instanceof ImageBitmap) {
    return bitmapPixels(input);
  }
  const { width, height, data }: Partial<DecodedImage> = input ?? {};
  if (
    Number.isInteger(width) && Number.isInteger(height) &&
    width! >= 0 && height! >= 0 &&
    (data instanceof Uint8Array || data instanceof Uint8ClampedArray)
  ) {
    return { width: width!, height: height!, data };
  }
  throw new InputError(
    "Cannot process the image: it is neither bytes of a picture (PNG, JPEG, WebP, GIF or BMP), nor { width, height, data } with 8-bit RGB or RGBA, nor an ImageBitmap",
  );
}

function bitmapPixels(bitmap: ImageBitmap): DecodedImage {
  const { width, height } = bitmap;
  const context = typeof OffscreenCanvas === "undefined" || width * height === 0
    ? null
    : new OffscreenCanvas(width, height).getContext("2d");
  if (context === null) {
    throw new UnsupportedError(
      `Cannot read the pixels of an ImageBitmap of ${width}x${height}: it is closed, or this runtime's OffscreenCanvas has no "2d" context; pass the bytes of the picture instead`,
    );
  }
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, width, height);
}

function dropAlpha(rgba: Uint8Array, pixels: number): Uint8Array {
  const rgb = new Uint8Array(pixels * 3);
  for (let i = 0; i < pixels; i++) {
    rgb[i * 3] = rgba[i * 4]!;
    rgb[i * 3 + 1] = rgba[i * 4 + 1]!;
    rgb[i * 3 + 2] = rgba[i * 4 + 2]!;
  }
  return rgb;
}
