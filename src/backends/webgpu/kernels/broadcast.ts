// WGSL of the operations that combine a tensor with a vector or with a factor
// for each row: `y[i] = f(x[i], v[...])`, all f32, a thread for each element.
import { elementsWgsl } from "./elements.ts";

function broadcastWgsl(result: string): string {
  return `${elementsWgsl}
struct Params { count: u32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> v: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

override WIDTH: u32; // elements of a row

@compute @workgroup_size(THREADS)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let i = element(id, groups);
  if (i >= params.count) { return; }
  y[i] = ${result};
}
`;
}

/** WGSL of `mulVector`. */
export const mulVectorWgsl: string = broadcastWgsl("x[i] * v[i % WIDTH]");
/** WGSL of `addVector`. */
export const addVectorWgsl: string = broadcastWgsl("x[i] + v[i % WIDTH]");
/** WGSL of `scaleRows`. */
export const scaleRowsWgsl: string = broadcastWgsl("x[i] * v[i / WIDTH]");
