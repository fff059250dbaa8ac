// What convolutions have in common: windows that step over a picture.
import type { Conv2dOptions } from "../../../ops/ops.ts";
import type { Recorder } from "../recorder.ts";
import type { WasmTensor, WasmWeight } from "../tensors.ts";

/** Work of a chunk: each reads all weights again. */
const WINDOWS_COST = 250_000;
/** Most places of the result whose windows are laid out at a time. */
const WINDOW_BLOCK = 32;

/** Places of the result that a chunk computes, at this cost each. */
export function placesOfChunk(unitCost: number): number {
  // Blocks of four rows are what the product is made for.
  const wanted = Math.ceil(WINDOWS_COST / unitCost / 4) * 4;
  return Math.min(wanted, WINDOW_BLOCK);
}

/**
 * Arguments: picture, kernel, stride, padding, columns of the result, elements
 * of a place: its channels unless given.
 */
export function windows(
  r: Recorder,
  x: WasmTensor,
  weight: WasmWeight,
  { stride, padding }: Conv2dOptions,
  shape: readonly number[],
  elements = x.shape[2]!,
): void {
  const [rows, columns] = x.shape as readonly [number, number, number];
  const [, , ky, kx = 1] = weight.shape;
  r.sizes(rows, columns, ky!, kx, ...stride, padding.top, padding.left)
    .sizes(shape[1]!, elements);
}
