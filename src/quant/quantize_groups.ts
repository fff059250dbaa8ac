// Numbers to groups of 32 with a scale, rounded as ggml's reference does. Every
// weight of a model comes through here when it is quantised on load, so the
// loops have no branches that depend on signs, and bfloat16 needs no copy in
// float32.
import { InputError } from "../core/errors.ts";
import { halfBits } from "../core/half.ts";

/** Formats that {@link quantizeGroups} writes: those of GGUF. */
export type QuantizedDtype = "q8_0" | "q4_0";

/** Values that share a scale. */
export const GROUP = 32;

/** Where groups go: group g of a call begins `g` steps after the first byte. */
export interface GroupPlaces {
  /** Receives 32 signed bytes a group, or 16 with two values each. */
  readonly quants: Uint8Array;
  readonly firstQuant: number;
  readonly quantStep: number;
  /** Receives the scale of a group, a half; may be `quants`. */
  readonly scales: Uint8Array;
  readonly firstScale: number;
  readonly scaleStep: number;
}

/** The group at hand, and its bits. */
const VALUES = new Float32Array(GROUP);
const BITS = new Int32Array(VALUES.buffer);
const MAGNITUDE = 0x7fffffff;
const INFINITY_BITS = 0x7f800000;

/**
 * Quantises `count` groups of `values` from element `first` on.
 *
 * @param values float32, or the bits of bfloat16.
 * @throws {InputError} When a value is NaN, infinite, or too large for a scale
 * in half precision.
 */
export function quantizeGroups(
  values: Float32Array | Uint16Array,
  first: number,
  count: number,
  dtype: QuantizedDtype,
  { quants, firstQuant, quantStep, scales, firstScale, scaleStep }: GroupPlaces,
): void {
  const put = dtype === "q8_0" ? putEightBits : putFourBits;
  for (let g = 0; g < count; g++) {
    const from = first + g * GROUP;
    if (values instanceof Uint16Array) loadBfloat16(values, from);
    else loadFloat32(values, from);
    const scale = put(quants, firstQuant + g * quantStep, from);
    putScale(scales, firstScale + g * scaleStep, scale);
  }
}

function loadFloat32(values: Float32Array, from: number): void {
  for (let i = 0; i < GROUP; i++) VALUES[i] = values[from + i]!;
}

function loadBfloat16(bits: Uint16Array, from: number): void {
  for (let i = 0; i < GROUP; i++) BITS[i] = bits[from + i]! << 16;
}

/** Writes the group at hand; gives its scale. */
function putEightBits(out: Uint8Array, at: number, from: number): number {
  const largest = Math.abs(VALUES[indexOfLargest(from)]!);
  const scale = Math.fround(largest / 127);
  const inverse = inverseScale(scale);
  for (let i = 0; i < GROUP; i++) {
    // Halves go away from zero: 0.5 with the sign of the value. In float32
    // 0.49999997 + 0.5 would be 1; in double precision it is not.
    const half = (BITS[i]! >> 31) + 0.5;
    out[at + i] = (Math.fround(VALUES[i]! * inverse) + half) | 0;
  }
  return scale;
}

/**
 * Writes the group at hand; gives its scale. The value furthest from zero
 * becomes -8, so that its sign fixes the scale's.
 */
function putFourBits(out: Uint8Array, at: number, from: number): number {
  const scale = Math.fround(VALUES[indexOfLargest(from)]! / -8);
  const inverse = inverseScale(scale);
  for (let i = 0; i < GROUP / 2; i++) {
    const low = VALUES[i]!;
    const high = VALUES[GROUP / 2 + i]!;
    out[at + i] = fourBits(low, inverse) | (fourBits(high, inverse) << 4);
  }
  return scale;
}

function fourBits(value: number, inverse: number): number {
  const x = Math.fround(value * inverse);
  return Math.min(15, Math.fround(x + 8.5) | 0);
}

/** First index of the largest magnitude; `from` is for the message. */
function indexOfLargest(from: number): number {
  let largest = 0;
  let index = 0;
  for (let i = 0; i < GROUP; i++) {
    const magnitude = BITS[i]! & MAGNITUDE;
    if (magnitude > largest) {
      largest = magnitude;
      index = i;
    }
  }
  if (largest >= INFINITY_BITS) {
    throw new InputError(
      `Cannot quantise values ${from} to ${
        from + GROUP - 1
      }: one is NaN or infinite`,
    );
  }
  return index;
}

// A scale too small to be inverted is 0 in half precision.
function inverseScale(scale: number): number {
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
  return Number.isFinite(inverse) ? inverse : 0;
}

function putScale(out: Uint8Array, at: number, scale: number): void {
  const bits = halfBits(scale);
  if ((bits & 0x7c00) === 0x7c00) {
    throw new InputError(
      `Cannot quantise a group: its scale ${scale} is too large for half precision`,
    );
  }
  out[at] = bits & 255;
  out[at + 1] = bits >> 8;
}
