// WGSL of the operations on one tensor: `y[i] = f(x[i])`, all f32, a thread for
// each load. `BY` is the number that comes with the operation.
import {
  eachWgsl,
  elementsWgsl,
  elemWgsl,
  type Forms,
  forms,
} from "./elements.ts";
import { mathWgsl } from "./math.ts";

function mapWgsl(result: string): Forms {
  return forms((lanes) =>
    `${elemWgsl(lanes)}${elementsWgsl}${mathWgsl}${
      eachWgsl(lanes, ["value"], result)
    }
struct Params { count: u32 }

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> params: Params;

override BY: f32 = 0.0;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let i = element(id, groups);
  if (i >= params.count) { return; }
  y[i] = each(x[i]);
}
`
  );
}

/** WGSL of `scale`: `x * BY`. */
export const scaleWgsl: Forms = mapWgsl("value * BY");
/** WGSL of `gelu`. */
export const geluWgsl: Forms = mapWgsl("geluOf(value)");
/** WGSL of `relu`. */
export const reluWgsl: Forms = mapWgsl("max(value, 0.0)");
/** WGSL of `silu`. */
export const siluWgsl: Forms = mapWgsl("value * sigmoid(value)");
/** WGSL of `tanh`. */
export const tanhWgsl: Forms = mapWgsl("safeTanh(value)");
/** WGSL of `softcap`: `BY * tanh(x / BY)`. */
export const softcapWgsl: Forms = mapWgsl("BY * safeTanh(value / BY)");
/** WGSL of `clamp` to `-BY .. BY`. */
export const clampWgsl: Forms = mapWgsl("clamp(value, -BY, BY)");
