import { drawsWgsl } from "./draws.ts";
import { kthLargestWgsl, NEAR_KEYS, TOP_K_ENTRIES } from "./top_k.ts";

/** Ids that can be kept, with those near the last one. */
const LISTED = 512;

/**
 * WGSL of the second part of `sample` from the `k` likeliest ids of a row, and
 * of these from the nucleus of a share `p`: filters and draw.
 *
 * Where float32 cannot tell whether an id is within a filter, and that id could
 * win, the host must choose.
 *
 * `heads` and `entries` of top_k.ts for `chunks` chunks; `keys` `[T]`; `chosen`
 * f32, of which the row writes element `first + t`; temperature and p come as
 * the bits of an f32.
 *
 * Dispatch: a workgroup for each row, in x.
 */
export function sampleTopKWgsl(chunks: number): string {
  const vectors = Math.ceil(chunks * TOP_K_ENTRIES / 4 / 256);
  const { declarations, search } = kthLargestWgsl(vectors);
  const each = (text: (vector: number, lane: number) => string) =>
    Array.from(
      { length: 4 * vectors },
      (_, i) => text(Math.floor(i / 4), i % 4),
    );
  const place = (vector: number, lane: number) =>
    `${256 * (4 * vector + lane)}u + thread`;
  return `${drawsWgsl}${declarations}
const CHUNKS = ${chunks}u;
const ENTRIES = ${TOP_K_ENTRIES}u;
const NEAR = ${NEAR_KEYS}u;
const LISTED = ${LISTED}u;

struct Params { first: u32, k: u32, temperature: u32, p: u32 }

@group(0) @binding(0) var<storage, read> entries: array<vec2u>;
@group(0) @binding(1) var<storage, read> heads: array<vec4u>;
@group(0) @binding(2) var<storage, read> keys: array<NoiseKey>;
@group(0) @binding(3) var<storage, read_write> chosen: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

// What is kept, and what may be.
var<workgroup> listed: atomic<u32>;
var<workgroup> listedKeys: array<u32, LISTED>;
var<workgroup> listedIds: array<u32, LISTED>;
var<workgroup> masses: array<f32, LISTED>;
// Whether the host must choose.
var<workgroup> unsure: atomic<u32>;
var<workgroup> topKey: atomic<u32>;

fn keyAt(row: u32, i: u32) -> u32 {
  let list = row * CHUNKS + i / ENTRIES;
  if (i >= CHUNKS * ENTRIES || i % ENTRIES >= heads[list].y) { return 0u; }
  return entries[list * ENTRIES + i % ENTRIES].x;
}

fn add(row: u32, i: u32, key: u32) {
  let place = atomicAdd(&listed, 1u);
  if (place >= LISTED) {
    atomicStore(&unsure, 1u);
    return;
  }
  listedKeys[place] = key;
  listedIds[place] = entries[row * CHUNKS * ENTRIES + i].y;
}

fn logitOf(key: u32) -> f32 {
  return valueOf(key) / bitcast<f32>(params.temperature);
}

// How likely an id is, in units of the likeliest; nothing below the k-th.
fn massOf(key: u32, threshold: u32, top: u32) -> f32 {
  if (key < threshold || key <= LEAST_KEY || top >= INFINITE_KEY) { return 0.0; }
  return exp(logitOf(key) - logitOf(top));
}

// 1 for an id of the nucleus, 0 for one outside, 2 where float32 cannot tell.
fn inNucleus(i: u32, count: u32, top: u32) -> u32 {
  let own = listedKeys[i];
  var before = 0.0;
  var near = 0.0; // of about the same mass
  var total = 0.0;
  for (var j = 0u; j < count; j++) {
    let key = listedKeys[j];
    let mass = masses[j];
    total += mass;
    if (key > own + NEAR) { before += mass; }
    if (j != i && max(key, own) - min(key, own) <= NEAR) { near += mass; }
  }
  if (before == 0.0 && near == 0.0) { return 1u; }
  let enough = bitcast<f32>(params.p) * total;
  let error = total * (1e-4 + 1e-5 * abs(logitOf(top)));
  if (before + near < enough - error) { return 1u; }
  if (before > enough + error) { return 0u; }
  return 2u;
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x;
${
    Array.from({ length: vectors }, (_, i) =>
      `  let held${i} = vec4u(${
        [0, 1, 2, 3].map((lane) =>
          `keyAt(row, ${place(i, lane)})`
        ).join(", ")
      });`).join("\n")
  }
${search}
  if (thread == 0u) {
    atomicStore(&listed, 0u);
    atomicStore(&unsure, 0u);
    atomicStore(&topKey, 0u);
  }
  workgroupBarrier();
  let near = max(threshold - min(threshold, NEAR), 1u);
${
    each((i, lane) =>
      `  if (held${i}[${lane}] >= near) { add(row, ${
        place(i, lane)
      }, held${i}[${lane}]); }`
    ).join("\n")
  }
  for (var i = thread; i < CHUNKS; i += THREADS) {
    let head = heads[row * CHUNKS + i];
    if (head.z != 0u && head.x >= near) { atomicStore(&unsure, 1u); }
  }
  workgroupBarrier();
  let count = min(atomicLoad(&listed), LISTED);
  for (var i = thread; i < count; i += THREADS) {
    atomicMax(&topKey, listedKeys[i]);
  }
  workgroupBarrier();
  let top = atomicLoad(&topKey);
  for (var i = thread; i < count; i += THREADS) {
    masses[i] = massOf(listedKeys[i], threshold, top);
  }
  workgroupBarrier();

  let hasNucleus = bitcast<f32>(params.p) < 1.0;
  var own = Draw(LOWEST, LOWEST, 0u, top);
  for (var i = thread; i < count; i += THREADS) {
    let key = listedKeys[i];
    if (key <= LEAST_KEY || top >= INFINITE_KEY) { continue; }
    let isBelow = key < threshold; // and so near that it may be kept
    if (isBelow && hasNucleus) { atomicStore(&unsure, 1u); }
    var isKept = select(1u, 2u, isBelow);
    if (hasNucleus && !isBelow) { isKept = inNucleus(i, count, top); }
    if (isKept == 0u) { continue; }
    let id = listedIds[i];
    let score = logitOf(key) + gumbelOf(noiseWords(keys[row], id)[id % 4u]);
    let isSure = isKept == 1u;
    let draw = Draw(
      select(LOWEST, score, isSure),
      select(score, LOWEST, isSure),
      id,
      top,
    );
    own = merged(own, draw);
  }
  let best = mergedOfGroup(thread, own);
  if (thread == 0u) {
    var result = outcome(best);
    if (result >= 0.0 && atomicLoad(&unsure) != 0u) { result = -2.0; }
    chosen[params.first + row] = result;
  }
}
`;
}
