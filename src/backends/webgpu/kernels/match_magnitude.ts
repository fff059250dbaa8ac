import { rowSumWgsl } from "./row_sum.ts";

/**
 * WGSL of `matchMagnitude`: `y[t, d] = x[t, d] * sqrt(mean(goal[t]^2)) /
 * sqrt(max(mean(x[t]^2), EPS))`. (`target` is a reserved word of WGSL.)
 *
 * `x`, `goal` and `y` `[T, D]`, all f32.
 *
 * Dispatch: a workgroup for each row, in a grid of any width.
 */
export const matchMagnitudeWgsl = `${rowSumWgsl}
struct Params { rows: u32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> goal: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

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
  var own = 0.0;
  var wanted = 0.0;
  for (var d = thread; d < WIDTH; d += THREADS) {
    own += x[first + d] * x[first + d];
    wanted += goal[first + d] * goal[first + d];
  }
  let meanOwn = rowSum(own, thread) / f32(WIDTH);
  let meanWanted = rowSum(wanted, thread) / f32(WIDTH);
  let scale = sqrt(meanWanted) / sqrt(max(meanOwn, EPS));
  for (var d = thread; d < WIDTH; d += THREADS) {
    y[first + d] = x[first + d] * scale;
  }
}
`;
