/** Threads of a workgroup of `attention`: four for each key of a tile. */
const THREADS = 128;
/** Keys whose scores exist at a time. */
export const ATTENTION_KEYS = 32;
const LANES = THREADS / ATTENTION_KEYS;

/** Below every score; infinity minus itself would be NaN. */
const LOWEST = "-3.4e38";

/**
 * WGSL of `attention` over a part of the keys: the query heads that share a
 * key-value head meet its keys in tiles of 32, with a running largest score and
 * a running sum (online softmax).
 *
 * `q` `[T, N, H]`, rings `keys` and `values` `[capacity, K, H]`, all f32. Row t
 * of the segment sees positions `p - WINDOW + 1 .. p`, which the splits divide.
 * With `split` a workgroup leaves its unscaled result in `partials`
 * `[rows, N, splits, H]` and largest score and sum in `statistics`
 * `[rows, N, splits]` for attention_merge.ts; else it writes `y` `[T, N, H]`.
 *
 * @param width H.
 * @param shared Query heads of a key-value head, N / K.
 *
 * Dispatch: (K, rows, splits).
 */
export function attentionWgsl(
  width: number,
  shared: number,
  split: boolean,
): string {
  const lanes = width % 4 === 0 ? 4 : 1;
  const elem = lanes === 4 ? "vec4f" : "f32";
  const vectors = width / lanes;
  const heads = range(shared);
  const own = range(Math.ceil(width / THREADS));
  const each = (line: (g: number) => string) => heads.map(line).join("\n");
  const bindings = split
    ? `@group(0) @binding(3) var<storage, read_write> partials: array<f32>;
@group(0) @binding(4) var<storage, read_write> statistics: array<vec2f>;`
    : "@group(0) @binding(3) var<storage, read_write> y: array<f32>;";
  return `
@group(0) @binding(0) var<storage, read> q: array<${elem}>;
@group(0) @binding(1) var<storage, read> keys: array<${elem}>;
@group(0) @binding(2) var<storage, read> values: array<f32>;
${bindings}
struct Params { firstRow: u32, firstPosition: u32 }
@group(0) @binding(${split ? 5 : 4}) var<uniform> params: Params;

override KV_HEADS: u32;
override CAPACITY: u32;
override WINDOW: u32; // 0 for none
override SCALE: f32;

var<workgroup> query: array<${elem}, ${shared * vectors}>;
var<workgroup> parts: array<f32, ${shared * THREADS}>;      // [g, key, lane]
var<workgroup> scores: array<f32, ${shared * ATTENTION_KEYS}>; // [g, key]
var<workgroup> weights: array<f32, ${shared * ATTENTION_KEYS}>;
var<workgroup> largest: array<f32, ${shared}>;
var<workgroup> shrink: array<f32, ${shared}>;

fn dotElem(a: ${elem}, b: ${elem}) -> f32 { return ${
    lanes === 4 ? "dot(a, b)" : "a * b"
  }; }

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
  let tiles = (position - first) / ${ATTENTION_KEYS}u + 1u;
  let tilesPerSplit = (tiles + groups.z - 1u) / groups.z;
  let begin = first + group.z * tilesPerSplit * ${ATTENTION_KEYS}u;
  let end = min(position + 1u, begin + tilesPerSplit * ${ATTENTION_KEYS}u);
  let queryBase = ((params.firstRow + row) * KV_HEADS + head) * ${
    shared * vectors
  }u;
  for (var i = thread; i < ${shared * vectors}u; i += ${THREADS}u) {
    query[i] = q[queryBase + i];
  }
  if (thread < ${shared}u) { largest[thread] = ${LOWEST}; }
${
    each((g) =>
      `  var total${g} = 0.0;\n` +
      own.map((i) => `  var sum${g}_${i} = 0.0;`).join("\n")
    )
  }
  workgroupBarrier();
  let key = thread / ${LANES}u;
  let lane = thread % ${LANES}u;
  for (var tile = begin; tile < end; tile += ${ATTENTION_KEYS}u) {
${each((g) => `    var part${g} = 0.0;`)}
    if (tile + key < end) {
      let base = (((tile + key) % CAPACITY) * KV_HEADS + head) * ${vectors}u;
      for (var d = lane; d < ${vectors}u; d += ${LANES}u) {
        let value = keys[base + d];
${
    each((g) =>
      `        part${g} += dotElem(query[${g * vectors}u + d], value);`
    )
  }
      }
    }
${each((g) => `    parts[${g * THREADS}u + thread] = part${g};`)}
    workgroupBarrier();
    for (var i = thread; i < ${shared * ATTENTION_KEYS}u; i += ${THREADS}u) {
      let sum = ${
    range(LANES).map((l) => `parts[i * ${LANES}u + ${l}u]`).join(" + ")
  };
      scores[i] = select(${LOWEST}, sum * SCALE, tile + i % ${ATTENTION_KEYS}u < end);
    }
    workgroupBarrier();
    for (var i = thread; i < ${shared * ATTENTION_KEYS}u; i += ${THREADS}u) {
      let g = i / ${ATTENTION_KEYS}u;
      var most = largest[g];
      for (var s = 0u; s < ${ATTENTION_KEYS}u; s++) {
        most = max(most, scores[g * ${ATTENTION_KEYS}u + s]);
      }
      weights[i] = exp(scores[i] - most);
    }
    workgroupBarrier();
    if (thread < ${shared}u) {
      var most = largest[thread];
      for (var s = 0u; s < ${ATTENTION_KEYS}u; s++) {
        most = max(most, scores[thread * ${ATTENTION_KEYS}u + s]);
      }
      shrink[thread] = exp(largest[thread] - most);
      largest[thread] = most;
    }
    workgroupBarrier();
${
    each((g) =>
      `    total${g} *= shrink[${g}];\n` +
      own.map((i) => `    sum${g}_${i} *= shrink[${g}];`).join("\n")
    )
  }
    let count = min(${ATTENTION_KEYS}u, end - tile);
    for (var s = 0u; s < count; s++) {
      let base = (((tile + s) % CAPACITY) * KV_HEADS + head) * ${width}u;
${
    each((g) =>
      `      let weight${g} = weights[${g * ATTENTION_KEYS}u + s];
      total${g} += weight${g};`
    )
  }
${
    own.map((i) =>
      within(
        width,
        i,
        `let value = values[base + thread + ${i * THREADS}u];
${each((g) => `        sum${g}_${i} += weight${g} * value;`)}`,
      )
    ).join("\n")
  }
    }
  }
${
    each((g) => {
      const n = `(row * KV_HEADS + head) * ${shared}u + ${g}u`;
      if (!split) {
        return own.map((i) =>
          within(
            width,
            i,
            `y[queryBase * ${lanes}u + ${
              g * width + i * THREADS
            }u + thread] = sum${g}_${i} / total${g};`,
          )
        ).join("\n");
      }
      return `  {
    let at = (${n}) * groups.z + group.z;
    if (thread == 0u) { statistics[at] = vec2f(largest[${g}], total${g}); }
${
        own.map((i) =>
          within(
            width,
            i,
            `partials[at * ${width}u + thread + ${
              i * THREADS
            }u] = sum${g}_${i};`,
          )
        ).join("\n")
      }
  }`;
    })
  }
}
`;
}

/** A block for the threads that have an i-th element of the head. */
function within(width: number, i: number, body: string): string {
  const left = width - i * THREADS;
  return left >= THREADS ? `{ ${body} }` : `if (thread < ${left}u) { ${body} }`;
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
