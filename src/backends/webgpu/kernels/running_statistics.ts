/**
 * WGSL of the second part of `cumulativeGroupNorm`: from the statistics of
 * rows the mean of all rows so far and the factor that makes their deviation 1.
 *
 * `statistics` `[T, 2]` of means and squared distances, `running` `[T, 2]` of
 * means and factors, both f32.
 *
 * Each thread sums a block of consecutive rows, the sums of the blocks are
 * scanned, and each thread goes over its block again from where it starts.
 * Squares about the running mean follow from those about the mean of the row:
 * `sum (x - m)^2 = sum (x - mean)^2 + n (mean - m)^2`.
 *
 * Dispatch: one workgroup.
 */
export const runningStatisticsWgsl = `
@group(0) @binding(0) var<storage, read> statistics: array<vec2f>;
@group(0) @binding(1) var<storage, read_write> running: array<vec2f>;

struct Params { rows: u32 } // T
@group(0) @binding(2) var<uniform> params: Params;

override WIDTH: u32; // elements of a row
override EPS: f32;

const THREADS = 256u;
var<workgroup> sums: array<f32, THREADS>;

// Sum of the values of all threads before this one.
fn sumBefore(thread: u32, value: f32) -> f32 {
  workgroupBarrier();
  sums[thread] = value;
  for (var step = 1u; step < THREADS; step <<= 1u) {
    workgroupBarrier();
    var other = 0.0;
    if (thread >= step) { other = sums[thread - step]; }
    workgroupBarrier();
    sums[thread] += other;
  }
  workgroupBarrier();
  var before = 0.0;
  if (thread > 0u) { before = sums[thread - 1u]; }
  return before;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32) {
  let perThread = (params.rows + THREADS - 1u) / THREADS;
  let first = min(thread * perThread, params.rows);
  let end = min(first + perThread, params.rows);

  var sum = 0.0;
  for (var t = first; t < end; t++) { sum += statistics[t].x; }
  sum = sumBefore(thread, sum);
  var squares = 0.0;
  for (var t = first; t < end; t++) {
    let row = statistics[t];
    sum += row.x;
    let mean = sum / f32(t + 1u);
    let distance = row.x - mean;
    let about = row.y + f32(WIDTH) * distance * distance;
    squares += about;
    running[t] = vec2f(mean, about);
  }
  squares = sumBefore(thread, squares);
  for (var t = first; t < end; t++) {
    let row = running[t];
    squares += row.y;
    let variance = squares / f32(WIDTH) / f32(t + 1u);
    running[t] = vec2f(row.x, 1.0 / sqrt(variance + EPS));
  }
}
`;
