// WGSL of the operations on two tensors of one shape: `y[i] = f(a, b)`,
// all f32, a thread for each load.
import {
  eachWgsl,
  elementsWgsl,
  elemWgsl,
  type Forms,
  forms,
} from "./elements.ts";
import { mathWgsl } from "./math.ts";

function zipWgsl(result: string): Forms {
  return forms((lanes) =>
    `${elemWgsl(lanes)}${elementsWgsl}${mathWgsl}${
      eachWgsl(lanes, ["a", "b"], result)
    }
struct Params { count: u32 }

@group(0) @binding(0) var<storage, read> first: array<Elem>;
@group(0) @binding(1) var<storage, read> second: array<Elem>;
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;
@group(0) @binding(3) var<uniform> params: Params;

override BY: f32 = 0.0;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let i = element(id, groups);
  if (i >= params.count) { return; }
  y[i] = each(first[i], second[i]);
}
`
  );
}

/** WGSL of `add`. */
export const addWgsl: Forms = zipWgsl("a + b");
/** WGSL of `mul`. */
export const mulWgsl: Forms = zipWgsl("a * b");
/** WGSL of `addScaled`: `(a + b) * BY`. */
export const addScaledWgsl: Forms = zipWgsl("(a + b) * BY");
/** WGSL of `geluMul`: `gelu(a) * b`. */
export const geluMulWgsl: Forms = zipWgsl("geluOf(a) * b");
