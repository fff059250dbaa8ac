import {
  eachWgsl,
  elementsWgsl,
  elemWgsl,
  type Forms,
  forms,
} from "./elements.ts";
import { mathWgsl } from "./math.ts";

/**
 * WGSL of `glu`: `y[t, d] = x[t, d] * sigmoid(x[t, D + d])`.
 *
 * `x` `[T, 2D]`, `y` `[T, D]`, both f32.
 *
 * Dispatch: a thread for each load of `y`, in a grid of any width.
 */
export const gluWgsl: Forms = forms((lanes) =>
  `${elemWgsl(lanes)}${elementsWgsl}${mathWgsl}${
    eachWgsl(
      lanes,
      ["value", "gate"],
      "select(value * sigmoid(gate), gate, isNan(gate))",
    )
  }
struct Params { count: u32 }

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> params: Params;

override WIDTH: u32; // D / lanes

@compute @workgroup_size(THREADS)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let i = element(id, groups);
  if (i >= params.count) { return; }
  let first = i / WIDTH * 2u * WIDTH + i % WIDTH;
  y[i] = each(x[first], x[first + WIDTH]);
}
`
);
