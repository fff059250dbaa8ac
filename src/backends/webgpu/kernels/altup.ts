import { elementsWgsl, elemWgsl, type Forms, forms } from "./elements.ts";

/**
 * WGSL of `altupPredict`:
 * `y[i, t] = x[i, t] + sum_j coefs[t, i * A + j] * x[j, t]`.
 *
 * `x` and `y` `[A, T, D]`, `coefs` `[T, A * A]`, all f32.
 *
 * Dispatch: a thread for each load of `y`, in a grid of any width.
 */
export const altupPredictWgsl: Forms = forms((lanes) =>
  `${elemWgsl(lanes)}${elementsWgsl}
struct Params { rows: u32 }

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> coefs: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;
@group(0) @binding(3) var<uniform> params: Params;

override STREAMS: u32; // A
override WIDTH: u32;   // loads of a row, D / lanes

@compute @workgroup_size(THREADS)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let i = element(id, groups);
  let size = params.rows * WIDTH;
  let stream = i / size;
  if (stream >= STREAMS) { return; }
  let place = i % size;
  let coef = (place / WIDTH * STREAMS + stream) * STREAMS;
  var sum = Elem();
  for (var j = 0u; j < STREAMS; j++) {
    sum += coefs[coef + j] * x[j * size + place];
  }
  y[i] = x[i] + sum;
}
`
);

/**
 * WGSL of `altupCorrect`: `y[i, t] = predicted[i, t] +
 * (activated[t] - predicted[ACTIVE, t]) * (coefs[t, i] + 1)`.
 *
 * `predicted` and `y` `[A, T, D]`, `activated` `[T, D]`, `coefs` `[T, A]`, all
 * f32.
 *
 * Dispatch: a thread for each load of `y`, in a grid of any width.
 */
export const altupCorrectWgsl: Forms = forms((lanes) =>
  `${elemWgsl(lanes)}${elementsWgsl}
struct Params { rows: u32 }

@group(0) @binding(0) var<storage, read> predicted: array<Elem>;
@group(0) @binding(1) var<storage, read> activated: array<Elem>;
@group(0) @binding(2) var<storage, read> coefs: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;
@group(0) @binding(4) var<uniform> params: Params;

override STREAMS: u32; // A
override WIDTH: u32;   // loads of a row, D / lanes
override ACTIVE: u32;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let i = element(id, groups);
  let size = params.rows * WIDTH;
  let stream = i / size;
  if (stream >= STREAMS) { return; }
  let place = i % size;
  let innovation = activated[place] - predicted[ACTIVE * size + place];
  let coef = coefs[place / WIDTH * STREAMS + stream];
  y[i] = predicted[i] + innovation * (coef + 1.0);
}
`
);
