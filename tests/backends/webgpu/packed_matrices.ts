// Quantised matrices one behind another in one buffer, as the kernels of a
// decoder layer find them.
import { packRows } from "../../../src/backends/webgpu/weight_layout.ts";
import type { MatrixPlace } from "../../../src/backends/webgpu/kernels/decoder_layer/layer_shape.ts";
import { dequantize, quantize } from "../../../src/quant/blocks.ts";
import { randomTensor } from "../../testing.ts";

/** Matrices `[rows, width]` of the same values, in several formats. */
export interface PackedMatrices {
  readonly width: number;
  readonly places: readonly MatrixPlace[];
  /** What each matrix holds once it is quantised. */
  readonly values: readonly Float32Array[];
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Bytes that values begin at a multiple of: they are loaded as vectors. */
const ALIGNMENT = 16;

/** Packs a matrix of random values in each of the formats. */
export function packMatrices(
  formats: readonly ("q8" | "q4")[],
  rows: number,
  width: number,
): PackedMatrices {
  const { data } = randomTensor([rows, width], { seed: 3 });
  const parts: [first: number, part: Uint8Array][] = [];
  let size = 0;
  /** Puts a part behind the others; gives the words before it. */
  const put = (part: Uint8Array): number => {
    const first = size;
    parts.push([first, part]);
    size += Math.ceil(part.length / ALIGNMENT) * ALIGNMENT;
    return first / Uint32Array.BYTES_PER_ELEMENT;
  };
  const values: Float32Array[] = [];
  const places = formats.map((format): MatrixPlace => {
    const dtype = format === "q8" ? "q8_0" : "q4_0";
    const blocks = quantize(data, dtype);
    const held = new Float32Array(rows * width);
    dequantize(blocks, dtype, held);
    values.push(held);
    const packed = packRows(blocks, dtype, format, width);
    return {
      format,
      rows,
      width,
      values: put(packed.values),
      scales: put(packed.scales),
    };
  });
  const bytes = new Uint8Array(size);
  for (const [first, part] of parts) bytes.set(part, first);
  return { width, places, values, bytes };
}
