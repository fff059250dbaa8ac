// How tensors divide into rows, and what rows cost.
import { numel } from "../../../core/shape.ts";
import type { Work } from "../recorder.ts";
import type { WasmTensor } from "../tensors.ts";

/** Time to read and write an element, in about a nanosecond. */
export const COPY_COST = 0.5;
/** Time of an element of an activation function. */
export const EXP_COST = 3;
/** Time of a multiply-add of a matrix product over several rows. */
export const MULTIPLY_ADD_COST = 0.1;
/** Time of a weight that is read for one row. */
export const STREAM_COST = 0.4;

/** Size of the last dimension. */
export function width(x: WasmTensor): number {
  return x.shape.at(-1) ?? 1;
}

/** Work on each row of the last dimension. */
export function rowWork(x: WasmTensor, elementCost: number): Work {
  const size = width(x);
  return workOf(size === 0 ? 0 : numel(x.shape) / size, size * elementCost);
}

/** Work on each element. */
export function elementWork(x: WasmTensor, elementCost: number): Work {
  return workOf(numel(x.shape), elementCost);
}

/** So many units at this cost. */
export function workOf(units: number, unitCost: number): Work {
  return { units, unitCost: Math.max(unitCost, COPY_COST) };
}
