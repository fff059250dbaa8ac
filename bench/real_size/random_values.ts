// Random values straight in the number formats of a file, as fast as a disk
// takes them: blocks are made as bytes and get scales, never through float32.
import { BLOCK_SIZES, type CheckpointDtype } from "../../src/core/dtype.ts";
import { halfBits } from "../../src/core/half.ts";

/** Mean and deviation of a tensor's values. */
export interface Spread {
  readonly mean: number;
  readonly deviation: number;
}

/** Deviation of integers spread evenly over -8..7 and over -128..127. */
const DEVIATION_4_BITS = Math.sqrt((16 ** 2 - 1) / 12);
const DEVIATION_8_BITS = Math.sqrt((256 ** 2 - 1) / 12);
/** Scales by turns: both signs, or the lowest integer would shift the mean. */
const SCALES = [1, -0.75, 1.25, -1];
/** Values that a table holds, for formats without blocks. */
const TABLE_SIZE = 8192;

/** Fills bytes with values of a number format; the same for the same seed. */
export class RandomValues {
  #state: number;

  /** Begins a stream of numbers. */
  constructor(seed: number) {
    this.#state = seed * 2654435769 + 1 | 1;
  }

  /** Fills whole values or blocks; `bytes` starts at a multiple of 4 and has such a length. */
  fill(bytes: Uint8Array, dtype: CheckpointDtype, spread: Spread): void {
    switch (dtype) {
      case "q4_0":
        return this.#blocks(bytes, dtype, spread.deviation / DEVIATION_4_BITS);
      case "q8_0":
        return this.#blocks(bytes, dtype, spread.deviation / DEVIATION_8_BITS);
      case "f32":
        return this.#fromTable(
          new Uint32Array(
            bytes.buffer,
            bytes.byteOffset,
            bytes.byteLength / 4,
          ),
          tableOf("f32", spread),
        );
      case "f16":
      case "bf16":
        return this.#fromTable(
          new Uint16Array(
            bytes.buffer,
            bytes.byteOffset,
            bytes.byteLength / 2,
          ),
          tableOf(dtype, spread),
        );
      default:
        throw new Error(`Cannot make values of type "${dtype}"`);
    }
  }

  #blocks(bytes: Uint8Array, dtype: "q4_0" | "q8_0", scale: number): void {
    const words = new Uint32Array(
      bytes.buffer,
      bytes.byteOffset,
      bytes.byteLength / 4,
    );
    let state = this.#state;
    for (let i = 0; i < words.length; i++) words[i] = state = next(state);
    this.#state = state;
    const scales = SCALES.map((factor) => halfBits(factor * scale));
    const size = BLOCK_SIZES[dtype].bytes;
    for (let at = 0; at < bytes.length; at += size) {
      const bits = scales[bytes[at + 2]! & 3]!;
      bytes[at] = bits & 255;
      bytes[at + 1] = bits >>> 8;
    }
  }

  #fromTable(values: Uint16Array | Uint32Array, table: Uint32Array): void {
    let state = this.#state;
    for (let i = 0; i < values.length; i++) {
      state = next(state);
      values[i] = table[state >>> 8 & (TABLE_SIZE - 1)]!;
    }
    this.#state = state;
  }
}

/** Marsaglia's xorshift with 32 bits; never 0. */
function next(state: number): number {
  state ^= state << 13;
  state ^= state >>> 17;
  return state ^ state << 5;
}

/** Bits of values spread evenly around the mean. */
function tableOf(
  dtype: "f32" | "f16" | "bf16",
  { mean, deviation }: Spread,
): Uint32Array {
  const step = 2 * Math.sqrt(3) / TABLE_SIZE;
  const values = Float32Array.from(
    { length: TABLE_SIZE },
    (_, i) => mean + deviation * (i + 0.5 - TABLE_SIZE / 2) * step,
  );
  const bits = new Uint32Array(values.buffer);
  if (dtype === "f32") return bits;
  return bits.map((x, i) => dtype === "f16" ? halfBits(values[i]!) : x >>> 16);
}
