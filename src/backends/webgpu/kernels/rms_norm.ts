import { rowSumWgsl } from "./row_sum.ts";

function rmsNorm(weight: string, factor: string, y: number): string {
  return `${rowSumWgsl}
struct Params { rows: u32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
${weight}
@group(0) @binding(${y}) var<storage, read_write> y: array<f32>;
@group(0) @binding(${y + 1}) var<uniform> params: Params;

override WIDTH: u32; // D
override EPS: f32;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let first = row * WIDTH;
  var squares = 0.0;
  for (var d = thread; d < WIDTH; d += THREADS) {
    let value = x[first + d];
    squares += value * value;
  }
  let scale = 1.0 / sqrt(rowSum(squares, thread) / f32(WIDTH) + EPS);
  for (var d = thread; d < WIDTH; d += THREADS) {
    y[first + d] = x[first + d] * scale${factor};
  }
}
`;
}

/**
 * WGSL of `rmsNorm` with a weight:
 * `y[t, d] = x[t, d] / sqrt(mean(x[t]^2) + EPS) * weight[d]`.
 *
 * `x` and `y` `[T, D]`, `weight` `[D]`, all f32.
 *
 * Dispatch: a workgroup for each row, in a grid of any width.
 */
export const rmsNormWgsl: string = rmsNorm(
  "@group(0) @binding(1) var<storage, read> weight: array<f32>;",
  " * weight[d]",
  2,
);

/** WGSL of `rmsNorm` without a weight; as {@link rmsNormWgsl} otherwise. */
export const rmsNormUnweightedWgsl: string = rmsNorm("", "", 1);
