/**
 * WGSL of kernels with a workgroup for each row, in a grid of any width.
 *
 * `rowSum(value, thread)` adds a value of every thread, always in the same
 * order; all threads must call it.
 */
export const rowSumWgsl = `
const THREADS = 256u;
var<workgroup> partial: array<f32, THREADS>;

fn rowSum(value: f32, thread: u32) -> f32 {
  partial[thread] = value;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) { partial[thread] += partial[thread + half]; }
    workgroupBarrier();
  }
  let sum = partial[0];
  workgroupBarrier(); // before the next sum
  return sum;
}
`;
