import { drawsWgsl } from "./draws.ts";
import { LOGITS_CHUNK } from "./logit_keys.ts";

/**
 * WGSL of the first part of `sample` from all ids: a draw of each
 * `LOGITS_CHUNK` elements of a row.
 *
 * `logits` `[T, VOCAB]` f32, read as bits; `keys` `[T]`; `results`
 * `[T, ceil(VOCAB / chunk)]`; the temperature comes as the bits of an f32.
 *
 * Dispatch: a workgroup for each chunk in x, the rows in y.
 */
export const sampleWgsl = `${drawsWgsl}
const CHUNK = ${LOGITS_CHUNK}u;

struct Params { temperature: u32 }

@group(0) @binding(0) var<storage, read> logits: array<u32>;
@group(0) @binding(1) var<storage, read> keys: array<NoiseKey>;
@group(0) @binding(2) var<storage, read_write> results: array<Draw>;
@group(0) @binding(3) var<uniform> params: Params;

override VOCAB: u32;

fn drawOf(row: u32, id: u32, word: u32) -> Draw {
  if (id >= VOCAB) { return NOTHING; }
  let bits = logits[row * VOCAB + id];
  let key = keyOf(bits);
  if (key <= LEAST_KEY || key >= INFINITE_KEY) {
    return Draw(LOWEST, LOWEST, 0u, key);
  }
  let logit = bitcast<f32>(bits) / bitcast<f32>(params.temperature);
  return Draw(logit + gumbelOf(word), LOWEST, id, key);
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.y;
  let first = group.x * CHUNK;
  var own = NOTHING;
  for (var i = 4u * thread; i < CHUNK; i += 4u * THREADS) {
    let words = noiseWords(keys[row], first + i);
    own = merged(own, drawOf(row, first + i, words.x));
    own = merged(own, drawOf(row, first + i + 1u, words.y));
    own = merged(own, drawOf(row, first + i + 2u, words.z));
    own = merged(own, drawOf(row, first + i + 3u, words.w));
  }
  let best = mergedOfGroup(thread, own);
  if (thread == 0u) { results[row * groups.x + group.x] = best; }
}
`;

/**
 * WGSL of the second part of `sample` from all ids: what a row's draws come to.
 *
 * `results` `[T, CHUNKS]`, `chosen` f32, of which the row writes element
 * `first + t`.
 *
 * Dispatch: a workgroup for each row, in x.
 */
export const sampleMergeWgsl = `${drawsWgsl}
struct Params { first: u32 }

@group(0) @binding(0) var<storage, read> results: array<Draw>;
@group(0) @binding(1) var<storage, read_write> chosen: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

override CHUNKS: u32;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  var own = NOTHING;
  for (var i = thread; i < CHUNKS; i += THREADS) {
    own = merged(own, results[group.x * CHUNKS + i]);
  }
  let best = mergedOfGroup(thread, own);
  if (thread == 0u) { chosen[params.first + group.x] = outcome(best); }
}
`;
