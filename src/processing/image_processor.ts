// Pictures to pixel values, as Transformers' SiglipImageProcessor (the
// torchvision one) makes them.
import { decodeImage, type RgbImage } from "../codecs/decode_image.ts";
import type { PaceOptions } from "../codecs/pacer.ts";
import { type ImageSize, resizeImage } from "../codecs/resize_image.ts";
import { InputError, UnsupportedError } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import { JsonFields } from "../core/json_fields.ts";
import { type HostTensor, hostTensor } from "../core/tensor.ts";
import { rgbPixels } from "./image_pixels.ts";
import type { ImageInput } from "./media.ts";
import { encodedBytes, isEncoded } from "./media_bytes.ts";

// Pillow's number of bilinear resampling; bicubic is the class's default.
const BILINEAR = 2;
const BICUBIC = 3;

/**
 * Turns pictures into what the vision tower takes.
 *
 * @example
 * ```ts
 * import { SiglipImageProcessor } from "@g3n/core";
 *
 * const processor = new SiglipImageProcessor({
 *   size: { height: 768, width: 768 },
 *   resample: 2,
 *   do_normalize: false,
 * });
 * const picture = { width: 2, height: 1, data: Uint8Array.of(255, 0, 0, 0, 0, 255) };
 * const pixelValues = await processor.process([picture]);
 * console.log(pixelValues.shape); // [1, 3, 768, 768]
 * ```
 */
export class SiglipImageProcessor {
  /** Size that pictures are resized to; `undefined` when they stay as they are. */
  readonly size: ImageSize | undefined;
  readonly #convertRgb: boolean;
  readonly #values: readonly Float32Array[];
  readonly #pace: PaceOptions;

  /**
   * Reads the parsed preprocessor_config.json, or the `image_processor` of
   * processor_config.json.
   *
   * @throws {CheckpointError} When a field has the wrong type.
   * @throws {UnsupportedError} When it asks for another resampling than
   * bilinear, or a size other than height and width.
   */
  constructor(config: JsonObject, options: PaceOptions = {}) {
    const fields = new JsonFields(config, "the image processor's config");
    this.size = fields.boolean("do_resize", true)
      ? readSize(fields)
      : undefined;
    this.#convertRgb = fields.boolean("do_convert_rgb", true);
    this.#values = [0, 1, 2].map((channel) => channelValues(fields, channel));
    this.#pace = options;
  }

  /**
   * N pictures -> float32 `[N, 3, H, W]`, values 0..1 unless the config
   * normalises them.
   *
   * @throws {InputError} When a picture cannot be decoded, or the sizes differ
   * where nothing is resized.
   */
  async process(
    images: readonly ImageInput[],
  ): Promise<HostTensor<"float32">> {
    if (images.length === 0) {
      throw new InputError("Cannot process images: the list is empty");
    }
    const resized: RgbImage[] = [];
    // One after another: a decoded picture may take 500 MB.
    for (const image of images) resized.push(await this.#resize(image));
    const { height, width } = resized[0]!;
    const area = height * width;
    const data = new Float32Array(images.length * 3 * area);
    for (const [i, image] of resized.entries()) {
      if (image.height !== height || image.width !== width) {
        throw new InputError(
          `Cannot stack the images: image 0 is ${width}x${height}, image ${i} is ${image.width}x${image.height}; set "do_resize" or pass one size`,
        );
      }
      this.#writePlanes(image.data, data.subarray(i * 3 * area));
    }
    return hostTensor("float32", [images.length, 3, height, width], data);
  }

  async #resize(input: ImageInput): Promise<RgbImage> {
    const image = isEncoded(input)
      ? await decodeImage(await encodedBytes(input), this.#pace)
      : rgbPixels(input, { convertRgb: this.#convertRgb });
    const { size } = this;
    if (
      size === undefined ||
      size.height === image.height && size.width === image.width
    ) return image;
    return await resizeImage(image, size, this.#pace);
  }

  /** `[H, W, 3]` bytes -> `[3, H, W]` floats. */
  #writePlanes(pixels: Uint8Array, out: Float32Array): void {
    const area = pixels.length / 3;
    for (const [channel, values] of this.#values.entries()) {
      for (let i = 0; i < area; i++) {
        out[channel * area + i] = values[pixels[i * 3 + channel]!]!;
      }
    }
  }
}

function readSize(fields: JsonFields): ImageSize {
  const resample = fields.integer("resample", BICUBIC);
  if (resample !== BILINEAR) {
    throw new UnsupportedError(
      `Cannot resize images with "resample": ${resample}; only ${BILINEAR} (bilinear) is supported`,
    );
  }
  const size = fields.object("size");
  if (!size.has("height") || !size.has("width")) {
    throw new UnsupportedError(
      'Cannot resize images: the config\'s "size" has no "height" and "width", other ways of giving it are not supported',
    );
  }
  return {
    height: size.integer("height", undefined, { min: 1 }),
    width: size.integer("width", undefined, { min: 1 }),
  };
}

/**
 * What each byte of a channel becomes. All steps round to float32, in the
 * order torchvision does them: rescaling and normalising are fused into
 * (x - mean / factor) / (deviation / factor).
 */
function channelValues(fields: JsonFields, channel: number): Float32Array {
  const rescale = fields.boolean("do_rescale", true);
  const factor = fields.number("rescale_factor", 1 / 255);
  const bytes = Float32Array.from({ length: 256 }, (_, byte) => byte);
  if (!fields.boolean("do_normalize", true)) {
    return rescale ? bytes.map((x) => x * Math.fround(factor)) : bytes;
  }
  const parameter = (key: string) => {
    const value = fields.has(key) ? fields.numbers(key, 3)[channel]! : 0.5;
    const inverse = rescale ? Math.fround(1 / factor) : 1;
    return Math.fround(Math.fround(value) * inverse);
  };
  const mean = parameter("image_mean");
  const deviation = parameter("image_std");
  return bytes.map((x) => Math.fround(x - mean) / deviation);
}
