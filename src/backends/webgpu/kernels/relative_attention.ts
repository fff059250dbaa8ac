/**
 * WGSL of `relativeAttention`: a workgroup computes one head of one row.
 *
 * `q`, `k`, `v` and `y` `[T, N, H]`, `positions` `[past + future + 1, N, H]`,
 * `valid` `[T]`, all f32. Keys are few: all scores of a row fit into
 * workgroup memory.
 *
 * Dispatch: `grid(N * T)`.
 */
export const relativeAttentionWgsl = `
@group(0) @binding(0) var<storage, read> q: array<f32>;
@group(0) @binding(1) var<storage, read> k: array<f32>;
@group(0) @binding(2) var<storage, read> v: array<f32>;
@group(0) @binding(3) var<storage, read> positions: array<f32>;
@group(0) @binding(4) var<storage, read> valid: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

struct Params { rows: u32 } // T
@group(0) @binding(6) var<uniform> params: Params;

override HEADS: u32;  // N
override WIDTH: u32;  // H
override PAST: u32;
override SOFTCAP: f32;
override SPAN: u32;   // past + future + 1

const THREADS = 128u;
// Threads that share the product of a row and a key.
const PARTS = 8u;
const KEYS = THREADS / PARTS;
var<workgroup> partial: array<f32, THREADS>;
// Scores are at most SOFTCAP in size; those of keys left out are below.
var<workgroup> scores: array<f32, SPAN>;

// Whether row t sees the key at this index of its span.
fn sees(t: u32, index: u32) -> bool {
  let key = t + index - PAST; // wraps around before the start
  return index < SPAN && key < params.rows && valid[min(key, params.rows - 1u)] != 0.0;
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let item = group.y * groups.x + group.x;
  let head = item % HEADS;
  let t = item / HEADS; // beyond the last row nothing is stored
  let row = (t * HEADS + head) * WIDTH;
  let part = thread % PARTS;
  for (var first = 0u; first < SPAN; first += KEYS) {
    let index = first + thread / PARTS;
    var dot = 0.0;
    if (sees(t, index)) {
      let key = ((t + index - PAST) * HEADS + head) * WIDTH;
      let position = (index * HEADS + head) * WIDTH;
      for (var h = part; h < WIDTH; h += PARTS) {
        dot += q[row + h] * (k[key + h] + positions[position + h]);
      }
    }
    partial[thread] = dot;
    workgroupBarrier();
    if (part == 0u && index < SPAN) {
      for (var i = 1u; i < PARTS; i++) { dot += partial[thread + i]; }
      // tanh() of large numbers is not a number on some drivers.
      let score = SOFTCAP * tanh(clamp(dot / SOFTCAP, -20.0, 20.0));
      scores[index] = select(-3.0e38, score, sees(t, index));
    }
    workgroupBarrier();
  }

  var largest = -3.0e38;
  for (var i = 0u; i < SPAN; i++) { largest = max(largest, scores[i]); }
  workgroupBarrier();
  for (var i = thread; i < SPAN; i += THREADS) {
    scores[i] = select(0.0, exp(scores[i] - largest), scores[i] > -3.0e38);
  }
  workgroupBarrier();
  var total = 0.0;
  for (var i = 0u; i < SPAN; i++) { total += scores[i]; }
  for (var h = thread; t < params.rows && h < WIDTH; h += THREADS) {
    var sum = 0.0;
    for (var i = 0u; i < SPAN; i++) {
      let key = min(t + i - min(PAST, t + i), params.rows - 1u);
      sum += scores[i] * v[(key * HEADS + head) * WIDTH + h];
    }
    y[row + h] = select(0.0, sum / total, total > 0.0);
  }
}
`;
