// Values in the number format of a file.
import type { CheckpointDtype } from "../core/dtype.ts";
import { InputError, UnsupportedError } from "../core/errors.ts";
import { halfBits } from "../core/half.ts";
import { quantize } from "../quant/blocks.ts";

/**
 * Encodes values, little-endian.
 *
 * @param tensor Name for messages.
 * @throws {InputError} When a value is NaN, infinite or too large for the format.
 * @throws {UnsupportedError} When the format can only be read.
 */
export function encodeValues(
  values: Float32Array,
  dtype: CheckpointDtype,
  tensor: string,
): Uint8Array {
  switch (dtype) {
    case "f32":
      return new Uint8Array(
        values.buffer,
        values.byteOffset,
        values.byteLength,
      );
    case "f16":
      return encodeHalves(values, tensor);
    case "q8_0":
    case "q4_0":
      return quantizeTensor(values, dtype, tensor);
    default:
      throw new UnsupportedError(
        `Cannot write tensor "${tensor}" as ${dtype}: it can only be read`,
      );
  }
}

function encodeHalves(values: Float32Array, tensor: string): Uint8Array {
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) halves[i] = halfBits(values[i]!);
  const bad = halves.findIndex((bits) => (bits & 0x7c00) === 0x7c00);
  if (bad >= 0) {
    throw new InputError(
      `Cannot write tensor "${tensor}" as f16: its value ${
        values[bad]
      } is out of range; convert to f32`,
    );
  }
  return new Uint8Array(halves.buffer);
}

function quantizeTensor(
  values: Float32Array,
  dtype: "q8_0" | "q4_0",
  tensor: string,
): Uint8Array {
  try {
    return quantize(values, dtype);
  } catch (cause) {
    throw new InputError(
      `Cannot write tensor "${tensor}" as ${dtype}: ${
        cause instanceof Error ? cause.message : String(cause)
      }`,
      { cause },
    );
  }
}
