/**
 * WGSL of the first part of `cumulativeGroupNorm`: of each row its mean and
 * the sum of its squared distances from that mean.
 *
 * `x` `[T, F * C]`, `statistics` `[T, 2]`, both f32.
 *
 * Dispatch: a workgroup for each row, `grid(T)`.
 */
export const rowStatisticsWgsl = `
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> statistics: array<vec2f>;

struct Params { rows: u32 } // T
@group(0) @binding(2) var<uniform> params: Params;

override WIDTH: u32; // F * C

const THREADS = 256u;
var<workgroup> sums: array<f32, THREADS>;

fn total(thread: u32, value: f32) -> f32 {
  // What an earlier call gave was read by all.
  workgroupBarrier();
  sums[thread] = value;
  for (var half = THREADS / 2u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (thread < half) { sums[thread] += sums[thread + half]; }
  }
  workgroupBarrier();
  return sums[0];
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let t = group.y * groups.x + group.x;
  let start = min(t, params.rows - 1u) * WIDTH;
  var sum = 0.0;
  for (var i = thread; i < WIDTH; i += THREADS) { sum += x[start + i]; }
  let mean = total(thread, sum) / f32(WIDTH);
  var squares = 0.0;
  for (var i = thread; i < WIDTH; i += THREADS) {
    let distance = x[start + i] - mean;
    squares += distance * distance;
  }
  squares = total(thread, squares);
  if (thread == 0u && t < params.rows) { statistics[t] = vec2f(mean, squares); }
}
`;
