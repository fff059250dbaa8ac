// WGSL of the operations that combine a tensor with a vector or with a factor
// for each row: `y[i] = f(x[i], v[...])`, all f32, a thread for each load.
import { elementsWgsl, elemWgsl, type Forms, forms } from "./elements.ts";

function broadcastWgsl(factors: "Elem" | "f32", result: string): Forms {
  return forms((lanes) =>
    `${elemWgsl(lanes)}${elementsWgsl}
struct Params { count: u32 }

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> v: array<${factors}>;
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
  y[i] = ${result};
}
`
  );
}

/** WGSL of `mulVector`. */
export const mulVectorWgsl: Forms = broadcastWgsl(
  "Elem",
  "x[i] * v[i % WIDTH]",
);
/** WGSL of `addVector`. */
export const addVectorWgsl: Forms = broadcastWgsl(
  "Elem",
  "x[i] + v[i % WIDTH]",
);
/** WGSL of `scaleRows`. */
export const scaleRowsWgsl: Forms = broadcastWgsl("f32", "x[i] * v[i / WIDTH]");
