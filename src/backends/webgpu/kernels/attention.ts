import type { FloatCacheDtype } from "../../../core/dtype.ts";
import { kvStoreWgsl, kvWidth } from "./kv_store.ts";

/** Threads of a workgroup of `attention`: four for each key of a tile. */
const THREADS = 128;
/** Keys whose scores exist at a time. */
export const ATTENTION_KEYS = 32;
const KEYS = ATTENTION_KEYS;
/** Threads of a key. */
const LANES = THREADS / KEYS;

/** An `attention` kernel. */
export interface AttentionKernel {
  /** H. */
  readonly width: number;
  /** Query heads of a key-value head, N / K. */
  readonly shared: number;
  /** How the store keeps keys and values. */
  readonly dtype: FloatCacheDtype;
  /** Whether several workgroups divide the keys of a row. */
  readonly split: boolean;
}

/**
 * WGSL of `attention` of few rows over a part of the keys: the query heads that
 * share a key-value head meet its keys in tiles of 32, with a running largest
 * score and a running sum (online softmax).
 *
 * `q` `[T, N, H]` f32, rings `keys` and `values` of kv_store.ts. Row t of the
 * segment sees positions `p - WINDOW + 1 .. p`, which the splits divide. With
 * `split` a workgroup leaves its unscaled result in `partials`
 * `[rows, N, splits, H]` and largest score and sum in `statistics`
 * `[rows, N, splits]` for attention_merge.ts; else it writes `y` `[T, N, H]`.
 *
 * Dispatch: (K, rows, splits).
 */
export function attentionWgsl(kernel: AttentionKernel): string {
  const { shared, split } = kernel;
  const shape = { shared, pairs: Math.ceil(kernel.width / 2) };
  return `${declarations(kernel)}
@compute @workgroup_size(${THREADS})
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let head = group.x;
  let row = group.y;
  let position = params.firstPosition + row;
  var first = 0u;
  if (WINDOW > 0u && position >= WINDOW) { first = position - WINDOW + 1u; }
  let tiles = (position - first) / ${KEYS}u + 1u;
  let tilesPerSplit = (tiles + groups.z - 1u) / groups.z;
  let begin = first + group.z * tilesPerSplit * ${KEYS}u;
  let end = min(position + 1u, begin + tilesPerSplit * ${KEYS}u);
  let queryBase = ((params.firstRow + row) * KV_HEADS + head) * ${shared}u * WIDTH;
  for (var i = thread; i < ${shared}u * VECTORS; i += ${THREADS}u) {
    query[i] = loadQuery(queryBase, i);
  }
  if (thread < ${shared}u) { largest[thread] = LOWEST; }
${forHeads(shared, (g) => `  var total${g} = 0.0;`)}
${forSums(shape, (name) => `  var ${name} = vec2f();`)}
  workgroupBarrier();
  let key = thread / ${LANES}u;
  let lane = thread % ${LANES}u;
  for (var tile = begin; tile < end; tile += ${KEYS}u) {
${scoreStage(shared)}
${weightStage(shared)}
${valueStage(shape)}
  }
${split ? leavePartials(shape) : writeResult(shape)}
}
`;
}

/** Sizes of a kernel. */
interface AttentionShape {
  /** Query heads of a key-value head. */
  readonly shared: number;
  /** Pairs of elements of a head. */
  readonly pairs: number;
}

function declarations(
  { width, shared, dtype, split }: AttentionKernel,
): string {
  const bindings = split
    ? `@group(0) @binding(3) var<storage, read_write> partials: array<f32>;
@group(0) @binding(4) var<storage, read_write> statistics: array<vec2f>;`
    : "@group(0) @binding(3) var<storage, read_write> y: array<f32>;";
  return `${kvStoreWgsl(dtype)}
@group(0) @binding(0) var<storage, read> q: array<${
    width % 4 === 0 ? "vec4f" : "f32"
  }>;
@group(0) @binding(1) var<storage, read> keys: array<KvVector>;
@group(0) @binding(2) var<storage, read> values: array<KvPair>;
${bindings}
struct Params { firstRow: u32, firstPosition: u32, capacity: u32 }
@group(0) @binding(${split ? 5 : 4}) var<uniform> params: Params;

override KV_HEADS: u32;
override WINDOW: u32; // 0 for none
override SCALE: f32;

// Below every score; infinity minus itself would be NaN.
const LOWEST = -3.4e38;
const WIDTH = ${width}u;
const VECTORS = ${kvWidth(width) / 4}u;

var<workgroup> query: array<vec4f, ${shared * kvWidth(width) / 4}>;
var<workgroup> parts: array<f32, ${shared * THREADS}>; // [g, key, lane]
var<workgroup> scores: array<f32, ${shared * KEYS}>;   // [g, key]
var<workgroup> weights: array<f32, ${shared * KEYS}>;
var<workgroup> largest: array<f32, ${shared}>;
var<workgroup> shrink: array<f32, ${shared}>;

${queryLoad(width)}
fn largestOf(g: u32) -> f32 {
  var most = largest[g];
  for (var s = 0u; s < ${KEYS}u; s++) {
    most = max(most, scores[g * ${KEYS}u + s]);
  }
  return most;
}
`;
}

/** Vector i of the heads from element `base` on; zeros beyond a head's last element. */
function queryLoad(width: number): string {
  if (width % 4 === 0) {
    return `fn loadQuery(base: u32, i: u32) -> vec4f { return q[base / 4u + i]; }`;
  }
  const elements = range(4).map((e) =>
    `select(0.0, q[first + min(h + ${e}u, WIDTH - 1u)], h + ${e}u < WIDTH)`
  );
  return `fn loadQuery(base: u32, i: u32) -> vec4f {
  let first = base + i / VECTORS * WIDTH;
  let h = i % VECTORS * 4u;
  return vec4f(${elements.join(", ")});
}`;
}

/** Four threads a key, each a quarter of its elements, for all heads. */
function scoreStage(shared: number): string {
  const terms = range(LANES).map((l) => `parts[i * ${LANES}u + ${l}u]`);
  return `
${forHeads(shared, (g) => `    var part${g} = 0.0;`)}
    if (tile + key < end) {
      let base = (((tile + key) % params.capacity) * KV_HEADS + head) * VECTORS;
      for (var d = lane; d < VECTORS; d += ${LANES}u) {
        let value = kvLoad(keys[base + d]);
${
    forHeads(
      shared,
      (g) => `        part${g} += dot(query[${g}u * VECTORS + d], value);`,
    )
  }
      }
    }
${forHeads(shared, (g) => `    parts[${g * THREADS}u + thread] = part${g};`)}
    workgroupBarrier();
    for (var i = thread; i < ${shared * KEYS}u; i += ${THREADS}u) {
      let score = SCALE * (${terms.join(" + ")});
      scores[i] = select(LOWEST, score, tile + i % ${KEYS}u < end);
    }
    workgroupBarrier();`;
}

/** Exponentials over the largest score so far, and what earlier sums shrink by. */
function weightStage(shared: number): string {
  return `
    for (var i = thread; i < ${shared * KEYS}u; i += ${THREADS}u) {
      weights[i] = exp(scores[i] - largestOf(i / ${KEYS}u));
    }
    workgroupBarrier();
    if (thread < ${shared}u) {
      let most = largestOf(thread);
      shrink[thread] = exp(largest[thread] - most);
      largest[thread] = most;
    }
    workgroupBarrier();`;
}

/** A thread sums its pairs of the values, for all heads. */
function valueStage(shape: AttentionShape): string {
  const { pairs, shared } = shape;
  return `
${forHeads(shared, (g) => `    total${g} *= shrink[${g}];`)}
${forSums(shape, (name, g) => `    ${name} *= shrink[${g}];`)}
    let count = min(${KEYS}u, end - tile);
    for (var s = 0u; s < count; s++) {
      let base = (((tile + s) % params.capacity) * KV_HEADS + head) * VECTORS * 2u;
${
    forHeads(
      shared,
      (g) =>
        `      let weight${g} = weights[${
          g * KEYS
        }u + s]; total${g} += weight${g};`,
    )
  }
${
    forOwn(pairs, (i) =>
      `let value = kvLoadPair(values[base + thread + ${i * THREADS}u]);
${
        forHeads(shared, (g) => `        sum${g}_${i} += weight${g} * value;`)
      }`)
  }
    }`;
}

/** Writes the elements of a pair that exist. */
function writePair(
  to: string,
  at: string,
  i: number,
  value: string,
): string {
  return `let h = 2u * (thread + ${i * THREADS}u);
        let value = ${value};
        ${to}[${at} + h] = value.x;
        if (h + 1u < WIDTH) { ${to}[${at} + h + 1u] = value.y; }`;
}

function writeResult({ pairs, shared }: AttentionShape): string {
  return forHeads(shared, (g) =>
    forOwn(pairs, (i) =>
      writePair(
        "y",
        `queryBase + ${g}u * WIDTH`,
        i,
        `sum${g}_${i} / total${g}`,
      )));
}

function leavePartials({ pairs, shared }: AttentionShape): string {
  return forHeads(shared, (g) =>
    `  {
    let n = (row * KV_HEADS + head) * ${shared}u + ${g}u;
    let at = n * groups.z + group.z;
    if (thread == 0u) { statistics[at] = vec2f(largest[${g}], total${g}); }
${
      forOwn(
        pairs,
        (i) => writePair("partials", "at * WIDTH", i, `sum${g}_${i}`),
      )
    }
  }`);
}

/** Lines for each query head. */
function forHeads(shared: number, line: (g: number) => string): string {
  return range(shared).map(line).join("\n");
}

/** Lines for each sum that a thread has. */
function forSums(
  { pairs, shared }: AttentionShape,
  line: (name: string, g: number) => string,
): string {
  const own = range(Math.ceil(pairs / THREADS));
  return range(shared).flatMap((g) => own.map((i) => line(`sum${g}_${i}`, g)))
    .join("\n");
}

/** Blocks for each pair of a head that a thread has, where it has it. */
function forOwn(pairs: number, body: (i: number) => string): string {
  return range(Math.ceil(pairs / THREADS)).map((i) => {
    const left = pairs - i * THREADS;
    const guard = left >= THREADS ? "" : `if (thread < ${left}u) `;
    return `      ${guard}{ ${body(i)} }`;
  }).join("\n");
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
