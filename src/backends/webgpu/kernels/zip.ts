// WGSL of the operations on two tensors of one shape: `y[i] = f(a[i], b[i])`,
// all f32, a thread for each element.
import { elementsWgsl } from "./elements.ts";
import { mathWgsl } from "./math.ts";

function zipWgsl(result: string): string {
  return `${elementsWgsl}${mathWgsl}
struct Params { count: u32 }

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

override BY: f32 = 0.0;

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

/** WGSL of `add`. */
export const addWgsl: string = zipWgsl("a[i] + b[i]");
/** WGSL of `mul`. */
export const mulWgsl: string = zipWgsl("a[i] * b[i]");
/** WGSL of `addScaled`: `(a + b) * BY`. */
export const addScaledWgsl: string = zipWgsl("(a[i] + b[i]) * BY");
/** WGSL of `geluMul`: `gelu(a) * b`. */
export const geluMulWgsl: string = zipWgsl("geluOf(a[i]) * b[i]");
