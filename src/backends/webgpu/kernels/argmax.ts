import { logitKeysWgsl, LOGITS_CHUNK } from "./logit_keys.ts";

/** WGSL of candidates for the largest of a row, and the better one of two. */
const candidateWgsl = `${logitKeysWgsl}
const THREADS = 256u;

struct Candidate { key: u32, index: u32 }

fn better(a: Candidate, b: Candidate) -> Candidate {
  let second = b.key > a.key || (b.key == a.key && b.index < a.index);
  if (second) { return b; }
  return a;
}

var<workgroup> candidates: array<Candidate, THREADS>;

// The best one of a workgroup, for all of its threads.
fn bestOfGroup(thread: u32, own: Candidate) -> Candidate {
  candidates[thread] = own;
  for (var half = THREADS / 2u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (thread < half) {
      candidates[thread] = better(candidates[thread], candidates[thread + half]);
    }
  }
  workgroupBarrier();
  return candidates[0];
}
`;

/**
 * WGSL of the first part of `argmax`: the best of each `LOGITS_CHUNK`
 * elements of a row.
 *
 * `logits` `[T, VOCAB]` f32, read as bits; `bests` `[T, ceil(VOCAB / chunk)]`.
 *
 * Dispatch: a workgroup for each chunk in x, the rows in y.
 */
export const argmaxWgsl = `${candidateWgsl}
const CHUNK = ${LOGITS_CHUNK}u;

@group(0) @binding(0) var<storage, read> logits: array<u32>;
@group(0) @binding(1) var<storage, read_write> bests: array<Candidate>;

override VOCAB: u32;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let first = group.x * CHUNK;
  let end = min(first + CHUNK, VOCAB);
  var own = Candidate(0u, 0u);
  for (var i = first + thread; i < end; i += THREADS) {
    own = better(own, Candidate(keyOf(logits[group.y * VOCAB + i]), i));
  }
  let best = bestOfGroup(thread, own);
  if (thread == 0u) { bests[group.y * groups.x + group.x] = best; }
}
`;

/**
 * WGSL of the second part of `argmax`: the index of the best of a row's
 * chunks, -1 where that is a NaN or -Infinity.
 *
 * `bests` `[T, CHUNKS]`, `chosen` f32, of which the row writes element
 * `first + t`.
 *
 * Dispatch: a workgroup for each row, in x.
 */
export const argmaxMergeWgsl = `${candidateWgsl}
struct Params { first: u32 }

@group(0) @binding(0) var<storage, read> bests: array<Candidate>;
@group(0) @binding(1) var<storage, read_write> chosen: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

override CHUNKS: u32;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  var own = Candidate(0u, 0u);
  for (var i = thread; i < CHUNKS; i += THREADS) {
    own = better(own, bests[group.x * CHUNKS + i]);
  }
  let best = bestOfGroup(thread, own);
  if (thread == 0u) {
    let none = best.key == NAN_KEY || best.key <= LEAST_KEY;
    chosen[params.first + group.x] = select(f32(best.index), -1.0, none);
  }
}
`;
