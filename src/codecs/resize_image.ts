// Resizing as torchvision does it on uint8 tensors: bilinear, antialiased.
import { InputError } from "../core/errors.ts";
import { freeing } from "./codec_module.ts";
import { pictureCodecs } from "./codecs.ts";
import type { RgbImage } from "./decode_image.ts";
import { createPacer, type PaceOptions } from "./pacer.ts";

/** Size of a picture in pixels. */
export interface ImageSize {
  /** Rows. */
  readonly height: number;
  /** Pixels per row. */
  readonly width: number;
}

// About 4 ms of work.
const STEP_BYTES = 2 ** 20;

/**
 * Resizes a picture without keeping its proportions.
 *
 * @throws {InputError} When a size is not positive or the data does not fill it.
 */
export async function resizeImage(
  image: RgbImage,
  size: ImageSize,
  options: PaceOptions = {},
): Promise<RgbImage> {
  const { width, height, data } = image;
  if (data.length !== width * height * 3) {
    throw new InputError(
      `Cannot resize the image: ${width}x${height} RGB takes ${
        width * height * 3
      } bytes, the data has ${data.length}`,
    );
  }
  return await pictureCodecs.run("Cannot resize the image", (codecs) =>
    freeing(
      new codecs.ImageResizer(width, height, size.width, size.height),
      async (resizer) => {
        const pace = createPacer(options);
        const rows = Math.ceil(STEP_BYTES / (width * 3));
        for (let y = 0; y < height; y += rows) {
          await pace();
          resizer.pushRows(
            data.subarray(y * width * 3, (y + rows) * width * 3),
          );
        }
        const out = new Uint8Array(size.width * size.height * 3);
        for (let y = 0; y < size.height; y++) {
          await pace();
          out.set(resizer.outputRows(y, 1), y * size.width * 3);
        }
        return { width: size.width, height: size.height, data: out };
      },
    ));
}
