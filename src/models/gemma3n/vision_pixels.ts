// Pixel values as processors give them, in the layout of the picture operations.
import { InputError } from "../../core/errors.ts";
import { formatShape } from "../../core/shape.ts";
import { type HostTensor, hostTensor } from "../../core/tensor.ts";

/**
 * Picture `index` of pixel values `[N, 3, Y, X]`, one plane a colour, as
 * `[Y, X, 3]`.
 *
 * @throws {InputError} When the shape is another or there is no such picture.
 */
export function picturePixels(
  pixelValues: HostTensor<"float32">,
  index: number,
): HostTensor<"float32"> {
  const { shape, data } = pixelValues;
  const [count, channels, rows, columns] = shape;
  if (
    shape.length !== 4 || channels !== 3 || rows! * columns! === 0
  ) {
    throw new InputError(
      `Cannot use pixelValues of shape ${
        formatShape(shape)
      }: [N,3,height,width] is needed`,
    );
  }
  if (!Number.isInteger(index) || index < 0 || index >= count!) {
    throw new InputError(
      `Cannot use picture ${index} of pixelValues: there are ${count}`,
    );
  }
  const plane = rows! * columns!;
  const out = new Float32Array(plane * 3);
  for (let c = 0; c < 3; c++) {
    const first = (index * 3 + c) * plane;
    for (let i = 0; i < plane; i++) out[i * 3 + c] = data[first + i]!;
  }
  return hostTensor("float32", [rows!, columns!, 3], out);
}
