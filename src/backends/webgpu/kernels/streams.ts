import { elementsWgsl, elemWgsl, type Forms, forms } from "./elements.ts";

/**
 * WGSL of `addToStreams`: adds `z` to every stream of `x` but the first.
 *
 * `x` and `y` `[A, T, D]`, `z` `[T, D]`, all f32; `count` and `size`, T * D, are
 * loads.
 *
 * Dispatch: a thread for each load of `y`, in a grid of any width.
 */
export const addToStreamsWgsl: Forms = forms((lanes) =>
  `${elemWgsl(lanes)}${elementsWgsl}
struct Params { count: u32, size: u32 }

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> z: array<Elem>;
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let i = element(id, groups);
  if (i >= params.count) { return; }
  y[i] = x[i] + select(z[i % params.size], Elem(), i < params.size);
}
`
);

/**
 * WGSL of `meanStreams`: `y[i] = mean_a(x[a, i])`.
 *
 * `x` `[A, ...]`, `y` `[...]`, both f32.
 *
 * Dispatch: a thread for each load of `y`, in a grid of any width.
 */
export const meanStreamsWgsl: Forms = forms((lanes) =>
  `${elemWgsl(lanes)}${elementsWgsl}
struct Params { count: u32 }

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> params: Params;

override STREAMS: u32; // A

@compute @workgroup_size(THREADS)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let i = element(id, groups);
  if (i >= params.count) { return; }
  var sum = Elem();
  for (var a = 0u; a < STREAMS; a++) { sum += x[a * params.count + i]; }
  y[i] = sum / f32(STREAMS);
}
`
);
