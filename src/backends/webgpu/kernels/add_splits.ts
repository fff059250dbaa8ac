import { ELEMENT_THREADS, elementsWgsl } from "./elements.ts";
import { productStore } from "./product_store.ts";

/**
 * WGSL that ends a `matmul` whose K was split (matmul_tiles.ts):
 * `y[t, first + o] = sum_s partials[s, t, o]`, in the order of the splits, or
 * that times `gelu(gate)`.
 *
 * `partials` `[splits, T, part]`, `y` and `gate` `[T, outputs]`.
 *
 * Dispatch: a thread for each of `T * part`, in a grid of any width.
 */
export function addSplitsWgsl(gated: boolean): string {
  const store = productStore(1, gated);
  return `
@group(0) @binding(0) var<storage, read> partials: array<f32>;
${store.bindings}
struct Params {
  count: u32,   // T * part
  splits: u32,
  first: u32,   // first output of this part
  part: u32,    // outputs of this part
  outputs: u32, // of all parts
}
@group(0) @binding(${gated ? 3 : 2}) var<uniform> params: Params;
${elementsWgsl}
${store.functions}

@compute @workgroup_size(${ELEMENT_THREADS})
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let i = element(id, groups);
  if (i >= params.count) { return; }
  var sum = partials[i];
  for (var s = 1u; s < params.splits; s++) {
    sum += partials[s * params.count + i];
  }
  let row = i / params.part;
  store(row * params.outputs + params.first + i % params.part, sum);
}
`;
}
