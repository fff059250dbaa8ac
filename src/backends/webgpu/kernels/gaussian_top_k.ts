import { rowSumWgsl } from "./row_sum.ts";

/**
 * WGSL of `gaussianTopK`:
 * `y[t, d] = max(0, x[t, d] - (mean(x[t]) + MULTIPLIER * deviation(x[t])))`,
 * with the biased deviation.
 *
 * `x` and `y` `[T, D]` f32.
 *
 * Dispatch: a workgroup for each row, in a grid of any width.
 */
export const gaussianTopKWgsl = `${rowSumWgsl}
struct Params { rows: u32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

override WIDTH: u32; // D
override MULTIPLIER: f32;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let first = row * WIDTH;
  var values = 0.0;
  for (var d = thread; d < WIDTH; d += THREADS) { values += x[first + d]; }
  let mean = rowSum(values, thread) / f32(WIDTH);
  var squares = 0.0;
  for (var d = thread; d < WIDTH; d += THREADS) {
    let distance = x[first + d] - mean;
    squares += distance * distance;
  }
  let deviation = sqrt(rowSum(squares, thread) / f32(WIDTH));
  let cutoff = mean + MULTIPLIER * deviation;
  for (var d = thread; d < WIDTH; d += THREADS) {
    let above = x[first + d] - cutoff;
    y[first + d] = select(above, 0.0, above < 0.0); // max() may lose NaN
  }
}
`;
