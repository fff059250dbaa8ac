/** Query rows of a workgroup of `multiQueryAttention`. */
export const MULTI_QUERY_ROWS = 64;

const KEYS = 32;
const SIDE = 16;
/** Vectors of four of the head's width that are multiplied in a step. */
const DEPTH = 4;
/** Threads along the width of the result; each has two rows. */
const COLUMNS = 8;
/** Vectors of the part of workgroup memory that queries, keys and values share. */
const SHARED_VECTORS = DEPTH * (MULTI_QUERY_ROWS + 2 + KEYS + 2);

/** What a workgroup does at a time for heads of some width. */
export interface MultiQueryTile {
  /** Elements of a load. */
  readonly lanes: 1 | 4;
  /** Vectors of four of the result that a thread has in each of its rows. */
  readonly columns: number;
  /** Keys whose values pass through workgroup memory at a time; 0 where not even one fits. */
  readonly valueKeys: number;
}

/** The tile for heads of `width` elements. */
export function multiQueryTile(width: number): MultiQueryTile {
  const vectors = Math.ceil(width / 4);
  const valueKeys = [16, 8, 4, 2, 1].find((n) => n * vectors <= SHARED_VECTORS);
  return {
    lanes: width % 4 === 0 ? 4 : 1,
    columns: Math.ceil(vectors / COLUMNS),
    valueKeys: valueKeys ?? 0,
  };
}

/**
 * WGSL of `multiQueryAttention`: softmax over all keys, with a running largest
 * score and a running sum, so that scores exist for 32 keys at a time.
 *
 * `q` and `y` `[T * N, H]`, `k` and `v` `[S, H]`, all f32: heads share keys, so
 * a row of `q` is one head of one place.
 *
 * A thread has 4 x 2 scores, then 2 rows of a part of the result. Workgroup
 * memory: 8 KB of scores, 6.5 KB that queries and keys, then values pass
 * through, statistics of the rows.
 *
 * Dispatch: `grid(ceil(T * N / 64))`.
 */
export function multiQueryAttentionWgsl(
  { lanes, columns: columnsPerThread }: Pick<
    MultiQueryTile,
    "lanes" | "columns"
  >,
): string {
  const columns = range(columnsPerThread);
  const lines = (indices: readonly number[], line: (i: number) => string) =>
    indices.map(line).join("\n");
  return `
alias Elem = ${lanes === 4 ? "vec4f" : "f32"};

@group(0) @binding(0) var<storage, read> q: array<Elem>;
@group(0) @binding(1) var<storage, read> k: array<Elem>;
@group(0) @binding(2) var<storage, read> v: array<Elem>;
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;

struct Params {
  rows: u32, // T * N
  keys: u32, // S
  width: u32,   // H / lanes
  vectors: u32, // ceil(H / 4)
  valueKeys: u32,
  scale: u32,   // bits of an f32
}
@group(0) @binding(4) var<uniform> params: Params;

const DEPTH = ${DEPTH}u;
const QUERY_STRIDE = ${MULTI_QUERY_ROWS + 2}u;
const KEY_STRIDE = ${KEYS + 2}u;
const KEY_BASE = ${DEPTH * (MULTI_QUERY_ROWS + 2)}u;

var<workgroup> shared4: array<vec4f, ${SHARED_VECTORS}>;
// [row, key / 4] scores, then their exponentials.
var<workgroup> scores: array<vec4f, ${MULTI_QUERY_ROWS * KEYS / 4}>;
// Of each row what its four threads found, and the factor on what was summed.
var<workgroup> parts: array<vec4f, ${MULTI_QUERY_ROWS}>;
var<workgroup> factors: array<f32, ${MULTI_QUERY_ROWS}>;

${
    ["q", "k", "v"].map((name) =>
      `fn ${name}4(row: u32, i: u32, rows: u32) -> vec4f {
  if (row >= rows || i >= params.vectors) { return vec4f(); }
  ${four(name)}
}`
    ).join("\n")
  }

@compute @workgroup_size(${SIDE * SIDE})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let firstRow = (group.y * groups.x + group.x) * ${MULTI_QUERY_ROWS}u;
  let depth = thread % DEPTH;
  let loaded = thread / DEPTH;
  let tx = thread % ${SIDE}u;
  let ty = thread / ${SIDE}u;
  let column = thread % ${COLUMNS}u;
  let rowPair = thread / ${COLUMNS}u * 2u;
  let softmaxRow = thread / 4u;
  let quarter = thread % 4u;
  let scale = bitcast<f32>(params.scale);
  var largest = -3.0e38;
  var total = 0.0;
${
    lines(columns, (c) =>
      `  var upper${c} = vec4f();\n  var lower${c} = vec4f();`)
  }

  for (var firstKey = 0u; firstKey < params.keys; firstKey += ${KEYS}u) {
    // Scores.
${lines(range(4), (i) => `    var sum${i} = vec2f();`)}
    for (var h = 0u; h < params.vectors; h += DEPTH) {
      workgroupBarrier();
      shared4[depth * QUERY_STRIDE + loaded] =
        q4(firstRow + loaded, h + depth, params.rows);
      if (loaded < ${KEYS}u) {
        shared4[KEY_BASE + depth * KEY_STRIDE + loaded] =
          k4(firstKey + loaded, h + depth, params.keys);
      }
      workgroupBarrier();
${
    lines(range(DEPTH), (d) =>
      `      {
        let k0 = shared4[KEY_BASE + ${d}u * KEY_STRIDE + tx];
        let k1 = shared4[KEY_BASE + ${d}u * KEY_STRIDE + tx + ${SIDE}u];
${
        lines(range(4), (i) =>
          `        let q${i} = shared4[${d}u * QUERY_STRIDE + ty + ${
            i * SIDE
          }u];
        sum${i} += vec2f(dot(q${i}, k0), dot(q${i}, k1));`)
      }
      }`)
  }
    }
${
    lines(range(4), (i) =>
      `    scores[(ty + ${i * SIDE}u) * ${
        KEYS / 4
      }u + tx / 4u][tx % 4u] = sum${i}.x;
    scores[(ty + ${i * SIDE}u) * ${KEYS / 4}u + ${
        SIDE / 4
      }u + tx / 4u][tx % 4u] = sum${i}.y;`)
  }
    workgroupBarrier();

    // Softmax: four threads a row, eight keys each.
    let at = softmaxRow * ${KEYS / 4}u + quarter * 2u;
    let key = firstKey + quarter * 8u;
    let low = key + vec4u(0u, 1u, 2u, 3u) < vec4u(params.keys);
    let high = key + vec4u(4u, 5u, 6u, 7u) < vec4u(params.keys);
    var s0 = select(vec4f(-3.0e38), scores[at] * scale, low);
    var s1 = select(vec4f(-3.0e38), scores[at + 1u] * scale, high);
    let both = max(s0, s1);
    parts[softmaxRow][quarter] = max(max(both.x, both.y), max(both.z, both.w));
    workgroupBarrier();
    let found = parts[softmaxRow];
    let newLargest =
      max(largest, max(max(found.x, found.y), max(found.z, found.w)));
    let factor = exp(largest - newLargest);
    largest = newLargest;
    s0 = select(vec4f(), exp(s0 - largest), low);
    s1 = select(vec4f(), exp(s1 - largest), high);
    scores[at] = s0;
    scores[at + 1u] = s1;
    workgroupBarrier();
    parts[softmaxRow][quarter] = dot(s0 + s1, vec4f(1.0));
    if (quarter == 0u) { factors[softmaxRow] = factor; }
    workgroupBarrier();
    total = total * factor + dot(parts[softmaxRow], vec4f(1.0));

    // Values.
    let upperFactor = factors[rowPair];
    let lowerFactor = factors[rowPair + 1u];
${
    lines(columns, (c) =>
      `    upper${c} *= upperFactor;
    lower${c} *= lowerFactor;`)
  }
    for (var first = 0u; first < ${KEYS}u; first += params.valueKeys) {
      workgroupBarrier();
      for (var i = thread; i < params.valueKeys * params.vectors; i += ${
    SIDE * SIDE
  }u) {
        shared4[i] = v4(firstKey + first + i / params.vectors, i % params.vectors, params.keys);
      }
      workgroupBarrier();
      for (var i = 0u; i < params.valueKeys; i++) {
        let s = first + i;
        let p0 = scores[rowPair * ${KEYS / 4}u + s / 4u][s % 4u];
        let p1 = scores[(rowPair + 1u) * ${KEYS / 4}u + s / 4u][s % 4u];
${
    lines(columns, (c) =>
      `        {
          // Columns beyond the last are computed and not stored.
          let value = shared4[i * params.vectors + min(column + ${
        c * COLUMNS
      }u, params.vectors - 1u)];
          upper${c} += p0 * value;
          lower${c} += p1 * value;
        }`)
  }
      }
    }
  }

  factors[softmaxRow] = total;
  workgroupBarrier();
  let upperTotal = factors[rowPair];
  let lowerTotal = factors[rowPair + 1u];
${
    lines(columns, (c) =>
      `  store(firstRow + rowPair, column + ${
        c * COLUMNS
      }u, upper${c} / upperTotal);
  store(firstRow + rowPair + 1u, column + ${
        c * COLUMNS
      }u, lower${c} / lowerTotal);`)
  }
}

fn store(row: u32, i: u32, value: vec4f) {
  if (row >= params.rows || i >= params.vectors) { return; }
${
    lanes === 4 ? "  y[row * params.width + i] = value;" : lines(
      range(4),
      (lane) =>
        `  if (4u * i + ${lane}u < params.width) { y[row * params.width + 4u * i + ${lane}u] = value[${lane}]; }`,
    )
  }
}
`;

  // Vector i of a row; what is beyond the width must not be added.
  function four(name: string): string {
    if (lanes === 4) return `return ${name}[row * params.width + i];`;
    const last = `(row + 1u) * params.width - 1u`;
    const elements = range(4).map((lane) =>
      `select(0.0, ${name}[min(row * params.width + 4u * i + ${lane}u, ${last})], 4u * i + ${lane}u < params.width)`
    );
    return `return vec4f(${elements.join(", ")});`;
  }
}

function range(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}
