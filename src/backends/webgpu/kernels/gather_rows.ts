import { elementsWgsl } from "./elements.ts";

/**
 * WGSL of `gatherRows` from one source: `y[pairs[p].x] = x[pairs[p].y]`, rows.
 *
 * `x` and `y` rows of `WIDTH` f32, `pairs` of u32.
 *
 * Dispatch: `pairs * WIDTH` threads in a grid of any width.
 */
export const gatherRowsWgsl = `${elementsWgsl}
struct Params { pairs: u32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> pairs: array<vec2u>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

override WIDTH: u32;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let thread = element(id, groups);
  let p = thread / WIDTH;
  if (p >= params.pairs) { return; }
  let i = thread % WIDTH;
  let pair = pairs[p];
  y[pair.x * WIDTH + i] = x[pair.y * WIDTH + i];
}
`;
