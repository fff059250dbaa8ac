// Encoded pictures to RGB.
import { pictureCodecs } from "./codecs.ts";
import { createPacer, type PaceOptions } from "./pacer.ts";

/** A picture, 8-bit RGB. */
export interface RgbImage {
  /** Pixels per row. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
  /** `[height, width, 3]`, row-major. */
  readonly data: Uint8Array;
}

// Pillow, and so Transformers, refuses larger pictures as decompression bombs.
const MAX_PIXELS = 178_956_970;

// About 4 ms of work.
const STEP_PIXELS = 2 ** 18;

/**
 * Decodes a PNG, JPEG, WebP, GIF (its first frame) or BMP to RGB: alpha
 * dropped, 16 bits cut to 8, EXIF orientation applied, colour profiles ignored.
 *
 * Yields between slices; a WebP is one slice (25 to 45 ms a megapixel).
 *
 * @throws {InputError} When the bytes are none of these, end early, are
 * damaged, or claim more than 178,956,970 pixels.
 */
export function decodeImage(
  bytes: Uint8Array,
  options: PaceOptions = {},
): Promise<RgbImage> {
  return pictureCodecs.run("Cannot decode the image", async (codecs) => {
    const pace = createPacer(options);
    const decoder = new codecs.ImageDecoder(bytes, MAX_PIXELS);
    let done = false;
    try {
      while (!done) {
        await pace();
        done = decoder.step(STEP_PIXELS);
      }
    } catch (error) {
      // A decoder that broke down goes away with its instance.
      if (!(error instanceof WebAssembly.RuntimeError)) decoder.free();
      throw error;
    }
    const image = decoder.intoImage();
    const { width, height } = image;
    return { width, height, data: image.intoData() };
  });
}
