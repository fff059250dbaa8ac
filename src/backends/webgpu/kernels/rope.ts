import { elementsWgsl } from "./elements.ts";

/**
 * WGSL of `rope`, halves convention: a thread turns one pair of elements.
 *
 * `x` and `y` `[T, N, H]`, `cosines` and `sines` `[T, H / 2]`, all f32.
 *
 * Dispatch: `T * N * H / 2` threads in a grid of any width.
 */
export const ropeWgsl = `${elementsWgsl}
struct Params { pairs: u32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> cosines: array<f32>;
@group(0) @binding(2) var<storage, read> sines: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

override HEADS: u32; // N
override HALF: u32;  // H / 2

@compute @workgroup_size(THREADS)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let pair = element(id, groups);
  if (pair >= params.pairs) { return; }
  let i = pair % HALF;
  let head = pair / HALF;
  let angle = head / HEADS * HALF + i;
  let low = head * 2u * HALF + i;
  let high = low + HALF;
  y[low] = x[low] * cosines[angle] - x[high] * sines[angle];
  y[high] = x[high] * cosines[angle] + x[low] * sines[angle];
}
`;
