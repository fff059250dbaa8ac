// WGSL of the operations on one tensor: `y[i] = f(x[i])`, all f32, a thread for
// each element. `BY` is the number that comes with the operation.
import { elementsWgsl } from "./elements.ts";
import { mathWgsl } from "./math.ts";

function mapWgsl(result: string): string {
  return `${elementsWgsl}${mathWgsl}
struct Params { count: u32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

override BY: f32 = 0.0;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let i = element(id, groups);
  if (i >= params.count) { return; }
  let value = x[i];
  y[i] = ${result};
}
`;
}

/** WGSL of `scale`: `x * BY`. */
export const scaleWgsl: string = mapWgsl("value * BY");
/** WGSL of `gelu`. */
export const geluWgsl: string = mapWgsl("geluOf(value)");
/** WGSL of `relu`. */
export const reluWgsl: string = mapWgsl("max(value, 0.0)");
/** WGSL of `silu`. */
export const siluWgsl: string = mapWgsl("value * sigmoid(value)");
/** WGSL of `tanh`. */
export const tanhWgsl: string = mapWgsl("safeTanh(value)");
/** WGSL of `softcap`: `BY * tanh(x / BY)`. */
export const softcapWgsl: string = mapWgsl("BY * safeTanh(value / BY)");
/** WGSL of `clamp` to `-BY .. BY`. */
export const clampWgsl: string = mapWgsl("clamp(value, -BY, BY)");
