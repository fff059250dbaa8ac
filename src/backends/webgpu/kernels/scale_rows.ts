import { elementsWgsl, elemWgsl, type Forms, forms } from "./elements.ts";

/**
 * WGSL of `scaleRows`: `y[t, d] = x[t, d] * v[t]`, all f32, a thread for each
 * load.
 */
export const scaleRowsWgsl: Forms = forms((lanes) =>
  `${elemWgsl(lanes)}${elementsWgsl}
struct Params { count: u32 }

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> v: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;
@group(0) @binding(3) var<uniform> params: Params;

override WIDTH: u32; // loads of a row

@compute @workgroup_size(THREADS)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let i = element(id, groups);
  if (i >= params.count) { return; }
  y[i] = x[i] * v[i / WIDTH];
}
`
);
