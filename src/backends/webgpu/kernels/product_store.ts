import { mathWgsl } from "./math.ts";

/** WGSL of what becomes of a product: `store(i, sum)` writes element i of y. */
export interface ProductStore {
  /** The binding of the gate, if any, and of y. */
  readonly bindings: string;
  readonly functions: string;
}

/**
 * How a matrix product ends: as it is, or times `gelu(gate)` (`gatedMatmul`).
 *
 * @param binding Index of the first free binding.
 */
export function productStore(binding: number, gated: boolean): ProductStore {
  if (!gated) {
    return {
      bindings: `
@group(0) @binding(${binding}) var<storage, read_write> y: array<f32>;`,
      functions: `
fn store(i: u32, sum: f32) { y[i] = sum; }`,
    };
  }
  return {
    bindings: `
@group(0) @binding(${binding}) var<storage, read> gate: array<f32>;
@group(0) @binding(${binding + 1}) var<storage, read_write> y: array<f32>;`,
    functions: `${mathWgsl}
fn store(i: u32, sum: f32) { y[i] = geluOf(gate[i]) * sum; }`,
  };
}
