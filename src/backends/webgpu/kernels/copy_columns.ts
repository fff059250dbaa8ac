import { elementsWgsl } from "./elements.ts";

/**
 * WGSL that copies `count` columns of `rows` rows:
 * `y[yFirst + row * yStride + i] = x[xFirst + row * xStride + i]`.
 *
 * `x` and `y` f32, all numbers in elements.
 *
 * Dispatch: `rows * count` threads in a grid of any width.
 */
export const copyColumnsWgsl = `${elementsWgsl}
struct Params {
  rows: u32,
  count: u32,
  xFirst: u32,
  xStride: u32,
  yFirst: u32,
  yStride: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let thread = element(id, groups);
  let row = thread / params.count;
  let i = thread % params.count;
  if (row >= params.rows) { return; }
  y[params.yFirst + row * params.yStride + i] =
    x[params.xFirst + row * params.xStride + i];
}
`;
