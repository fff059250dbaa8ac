import type { AttentionKernel } from "./attention.ts";
import { scoreStage, weightStage } from "./attention_tiles/scores.ts";
import { finish } from "./attention_tiles/result.ts";
import {
  DEPTH,
  KEYS,
  PART,
  range,
  resultShape,
  ROWS,
  STRIDE,
  THREADS,
  TILE,
  valueKeys,
} from "./attention_tiles/sizes.ts";
import { valueStage } from "./attention_tiles/values.ts";
import { kvStoreWgsl, kvWidth } from "./kv_store.ts";

/** Queries, one of a head and a row each, that share a workgroup of `attentionTilesWgsl`. */
export const ATTENTION_TILE = ROWS;

/** Whether heads of this width fit; for others there is `attentionWgsl`. */
export function fitsAttentionTiles(width: number): boolean {
  return width > 0 && valueKeys(kvWidth(width) / 4) > 0;
}

/**
 * WGSL of `attention` of many rows, as in prefill, and of
 * `multiQueryAttention`, whose heads share all keys: 32 queries that share a
 * key-value head meet its keys in tiles of 32, with a running largest score and
 * a running sum (online softmax). A tile of keys or values is read once for all
 * of them; tiles that no query sees are left out.
 *
 * Query m of the segment is head `m % (N / K)` of row `m / (N / K)`. Tensors,
 * stores and splits are those of `attentionWgsl`; of the positions that a row
 * sees there are no more than `keys`.
 *
 * Threads have 2 x 4 scores, then a quarter of the keys of a row, then some rows
 * of a part of the result. Queries and keys lie in workgroup memory as in
 * matmul_tiles.ts, keys four apart side by side: a thread has four of them.
 * 13 KB.
 *
 * Dispatch: (K, ceil(rows * N / K / 32), splits).
 */
export function attentionTilesWgsl(kernel: AttentionKernel): string {
  const { shared } = kernel;
  const vectors = kvWidth(kernel.width) / 4;
  const { columns, ownRows, ownColumns } = resultShape(vectors);
  return `${declarations(kernel)}
@compute @workgroup_size(${THREADS})
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let head = group.x;
  let firstQuery = group.y * ${ROWS}u;
  let count = params.rows * ${shared}u;
  let firstSeen = seenFrom(params.firstPosition + firstQuery / ${shared}u);
  let lastQuery = min(firstQuery + ${ROWS - 1}u, count - 1u);
  let last = min(params.firstPosition + lastQuery / ${shared}u, params.keys - 1u);
  let tiles = (last - firstSeen) / ${KEYS}u + 1u;
  let tilesPerSplit = (tiles + groups.z - 1u) / groups.z;
  let begin = firstSeen + group.z * tilesPerSplit * ${KEYS}u;
  let end = min(last + 1u, begin + tilesPerSplit * ${KEYS}u);

  // What this thread does: loads, scores, softmax, result.
  let column = thread % ${DEPTH}u;
  let loaded = thread / ${DEPTH}u;
  let tx = thread % 8u;
  let ty = thread / 8u;
  let row = thread / 4u;
  let quarter = thread % 4u;
  let cx = thread % 8u + thread / 32u % ${columns / 8}u * 8u;
  let cy = thread / 8u % 4u + thread / ${4 * columns}u * 4u;
${
    range(2).map((i) =>
      `  let query${i} = queryBase(min(firstQuery + loaded + ${
        16 * i
      }u, count - 1u), head);`
    ).join("\n")
  }
  var largest = LOWEST;
  var total = 0.0;
${
    range(ownRows * ownColumns).map((i) =>
      `  var out${Math.floor(i / ownColumns)}_${i % ownColumns} = vec4f();`
    ).join("\n")
  }
  for (var key = begin; key < end; key += ${KEYS}u) {
${scoreStage(vectors)}
${weightStage()}
${valueStage(vectors)}
  }
${finish(kernel)}
}
`;
}

function declarations(
  { width, shared, dtype, split }: AttentionKernel,
): string {
  const elem = width % 4 === 0 ? "vec4f" : "f32";
  const outputs = split
    ? `@group(0) @binding(3) var<storage, read_write> y: array<${elem}>; // partials
@group(0) @binding(4) var<storage, read_write> statistics: array<vec2f>;`
    : `@group(0) @binding(3) var<storage, read_write> y: array<${elem}>;`;
  const query = range(4).map((e) =>
    `select(0.0, q[base + min(4u * v + ${e}u, WIDTH - 1u)], 4u * v + ${e}u < WIDTH)`
  );
  return `${kvStoreWgsl(dtype)}
@group(0) @binding(0) var<storage, read> q: array<${elem}>;
@group(0) @binding(1) var<storage, read> keys: array<KvVector>;
@group(0) @binding(2) var<storage, read> values: array<KvVector>;
${outputs}
struct Params {
  firstRow: u32,
  firstPosition: u32,
  rows: u32,
  capacity: u32,
  keys: u32, // positions that there are
}
@group(0) @binding(${split ? 5 : 4}) var<uniform> params: Params;

override KV_HEADS: u32;
override WINDOW: u32; // 0 for none
override SCALE: f32;

// Below every score; infinity minus itself would be NaN.
const LOWEST = -3.4e38;
const WIDTH = ${width}u;
const VECTORS = ${kvWidth(width) / 4}u;

// [d, query], [d, key]; then [key, d]
var<workgroup> tile: array<array<vec4f, ${PART}>, ${TILE / PART}>;
var<workgroup> weights: array<vec4f, ${ROWS * STRIDE}>; // [query, key / 4]
var<workgroup> factors: array<f32, ${ROWS}>;

// The first position that a row at this one sees.
fn seenFrom(position: u32) -> u32 {
  return select(0u, position + 1u - WINDOW, WINDOW > 0u && position >= WINDOW);
}

// Index of a query's head in q.
fn queryBase(query: u32, head: u32) -> u32 {
  return ((params.firstRow + query / ${shared}u) * KV_HEADS + head) * ${shared}u + query % ${shared}u;
}

fn loadQuery(head: u32, v: u32) -> vec4f {
  if (v >= VECTORS) { return vec4f(); }
  ${
    width % 4 === 0
      ? "return q[head * VECTORS + v];"
      : `let base = head * WIDTH;\n  return vec4f(${query.join(", ")});`
  }
}

// The first vector of a position in a ring.
fn at(position: u32, head: u32) -> u32 {
  return (position % params.capacity * KV_HEADS + head) * VECTORS;
}

// Zeros for positions that may never have been written.
fn loadValue(position: u32, end: u32, head: u32, v: u32) -> vec4f {
  if (position >= end) { return vec4f(); }
  return kvLoad(values[at(position, head) + v]);
}

// Scores of four keys; LOWEST where a query does not see one.
fn seen(scores: vec4f, query: u32, key: u32, end: u32) -> vec4f {
  let position = params.firstPosition + query / ${shared}u;
  let positions = key + vec4u(0u, 1u, 2u, 3u);
  let isSeen = (positions >= vec4u(seenFrom(position))) &
    (positions <= vec4u(position)) & (positions < vec4u(end));
  return select(vec4f(LOWEST), scores, isSeen);
}

fn weightsOf(scores: vec4f, largest: f32) -> vec4f {
  return select(vec4f(), exp(scores - largest), scores != vec4f(LOWEST));
}
${
    width % 4 === 0 ? "" : `
fn put(base: u32, v: u32, value: vec4f) {
${
      range(4).map((e) =>
        `  if (4u * v + ${e}u < WIDTH) { y[base + 4u * v + ${e}u] = value[${e}]; }`
      ).join("\n")
    }
}
`
  }`;
}
