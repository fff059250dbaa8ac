/**
 * WGSL that merges what `attentionWgsl` found in each split of the keys.
 *
 * `partials` `[rows * N, splits, H]`, `statistics` `[rows * N, splits]` of
 * largest score and sum, `y` `[T, N, H]` from row `first / N` on.
 *
 * Dispatch: a workgroup for each of `rows * N`, in a grid of any width.
 */
export const attentionMergeWgsl = `
@group(0) @binding(0) var<storage, read> partials: array<f32>;
@group(0) @binding(1) var<storage, read> statistics: array<vec2f>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
struct Params { first: u32, count: u32, splits: u32 }
@group(0) @binding(3) var<uniform> params: Params;

override WIDTH: u32; // H

@compute @workgroup_size(64)
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let n = group.y * groups.x + group.x;
  if (n >= params.count) { return; }
  let base = n * params.splits;
  var largest = statistics[base].x;
  for (var i = 1u; i < params.splits; i++) {
    largest = max(largest, statistics[base + i].x);
  }
  var total = 0.0;
  for (var i = 0u; i < params.splits; i++) {
    let found = statistics[base + i];
    total += found.y * exp(found.x - largest);
  }
  for (var h = thread; h < WIDTH; h += 64u) {
    var sum = 0.0;
    for (var i = 0u; i < params.splits; i++) {
      let factor = exp(statistics[base + i].x - largest);
      sum += factor * partials[(base + i) * WIDTH + h];
    }
    y[(params.first + n) * WIDTH + h] = sum / total;
  }
}
`;
