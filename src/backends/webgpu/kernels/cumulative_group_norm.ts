/**
 * WGSL of the last part of `cumulativeGroupNorm`:
 * `y[t, f, c] = (x[t, f, c] - mean[t]) * factor[t] * weight[c]`.
 *
 * `x` and `y` `[T, F, C]`, `weight` `[C]`, `running` `[T, 2]` of means and
 * factors, all f32.
 *
 * Dispatch: `T * F * C` threads in workgroups of 64, `grid()`.
 */
export const cumulativeGroupNormWgsl = `
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> running: array<vec2f>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

struct Params { elements: u32 } // T * F * C
@group(0) @binding(4) var<uniform> params: Params;

override WIDTH: u32;    // F * C
override CHANNELS: u32; // C

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + thread;
  if (i >= params.elements) { return; }
  let row = running[i / WIDTH];
  y[i] = (x[i] - row.x) * row.y * weight[i % CHANNELS];
}
`;
