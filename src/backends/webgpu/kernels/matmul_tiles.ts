import type { WeightFormat } from "../../../core/dtype.ts";
import { productStore } from "./product_store.ts";

/** Rows and outputs of a workgroup of `matmulTilesWgsl`, and of each of its threads. */
export interface MatmulTile {
  readonly rows: number;
  readonly outputs: number;
  readonly threadRows: number;
  readonly threadOutputs: number;
  /** Vectors of four along K that pass through workgroup memory together. */
  readonly depth: 4 | 8;
}

/** 64 threads. All tiles fit into the 16 KB of workgroup memory that every GPU has. */
export const SMALL_TILE: MatmulTile = {
  rows: 32,
  outputs: 32,
  threadRows: 4,
  threadOutputs: 4,
  depth: 8,
};

/** 128 threads. */
export const MEDIUM_TILE: MatmulTile = {
  rows: 64,
  outputs: 64,
  threadRows: 8,
  threadOutputs: 4,
  depth: 8,
};

/** 256 threads. */
export const LARGE_TILE: MatmulTile = {
  rows: 128,
  outputs: 128,
  threadRows: 8,
  threadOutputs: 8,
  depth: 4,
};

/** Larger tiles read less, if there are so many that a large GPU is busy. */
const TILES = [
  { tile: LARGE_TILE, wanted: 256 },
  { tile: MEDIUM_TILE, wanted: 128 },
] as const;

/** The largest tile of which there are enough. */
export function chooseTile(rows: number, outputs: number): MatmulTile {
  const fitting = TILES.find(({ tile, wanted }) =>
    Math.ceil(rows / tile.rows) * Math.ceil(outputs / tile.outputs) >= wanted
  );
  return fitting?.tile ?? SMALL_TILE;
}

/** A `matmul` of many rows. */
export interface MatmulTilesOptions {
  readonly format: WeightFormat;
  /** Elements of a load: 4 where 4 divides K. Quantised weights have 4. */
  readonly lanes: 1 | 4;
  /** Whether y is multiplied by `gelu(gate)`. */
  readonly gated: boolean;
  readonly tile: MatmulTile;
}

/** Vectors of four in a group of quantised values. */
const GROUP_VECTORS = 8;

/** Threads of a workgroup. */
export function tileThreads(
  { rows, outputs, threadRows, threadOutputs }: MatmulTile,
): number {
  return rows / threadRows * (outputs / threadOutputs);
}

/**
 * WGSL of `matmul` for many rows, as in prefill:
 * `y[t, FIRST + o] = sum_k x[t, k] w[o, k]`.
 *
 * `x` `[T, K]` f32, `w` as weight_layout.ts says, `scales` for q8 and q4, `y`
 * `[T, OUTPUTS]`. Weights are dequantised to f32 on their way into workgroup
 * memory; sums are f32, over k in order.
 *
 * In workgroup memory a tile is `[k / 4, row]` of vectors along k. Row r of
 * vector d lies at `r ^ d`, or `r ^ 2d` where there are four: what eight
 * neighbouring threads store lies in different banks, and so does what they
 * load. A thread has rows and outputs as far apart as there are threads along
 * them, its sums in registers; 32 consecutive threads cover 4 rows and 8
 * outputs. What the next step needs is loaded while this one is multiplied.
 *
 * Dispatch: (ceil(PART / outputs), ceil(T / rows), 1).
 */
export function matmulTilesWgsl(options: MatmulTilesOptions): string {
  const { format, lanes, gated, tile } = options;
  const elem = lanes === 4 ? "vec4f" : "f32";
  const quantized = format !== "f32";
  const store = productStore(quantized ? 3 : 2, gated);
  const threads = tileThreads(tile);
  const columns = tile.outputs / tile.threadOutputs;
  const loads = tileLoads(options, threads);
  return `
@group(0) @binding(0) var<storage, read> x: array<${elem}>;
@group(0) @binding(1) var<storage, read> w: array<${quantized ? "u32" : elem}>;
${
    quantized
      ? "@group(0) @binding(2) var<storage, read> scales: array<u32>;"
      : ""
  }
${store.bindings}
struct Params { rows: u32 }
@group(0) @binding(${
    (quantized ? 4 : 3) + (gated ? 1 : 0)
  }) var<uniform> params: Params;

override K: u32;
override FIRST: u32;   // first output of this part
override PART: u32;    // outputs of this part
override OUTPUTS: u32; // of all parts

var<workgroup> xs: array<vec4f, ${tile.depth * tile.rows}>;
var<workgroup> ws: array<vec4f, ${tile.depth * tile.outputs}>;
${store.functions}
${loads.functions}
@compute @workgroup_size(${threads})
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) group: vec3u,
) {
  let rowBase = group.y * ${tile.rows}u;
  let outputBase = group.x * ${tile.outputs}u;
  let tx = thread % 8u + thread / 32u % ${columns / 8}u * 8u;
  let ty = thread / 8u % 4u + thread / ${4 * columns}u * 4u;
${loads.start}
${forSums(tile, (i, j) => `  var sum${i}_${j} = 0.0;`)}
  for (var v = 0u; 4u * v < K; v += ${tile.depth}u) {
${loads.store}
    workgroupBarrier();
    let next = v + ${tile.depth}u;
${loads.next}
${range(tile.depth).map((d) => step(tile, d)).join("\n")}
    workgroupBarrier();
  }
${writeSums(tile)}
}
`;
}

/** Multiplies vector `d` of all rows and outputs of a thread. */
function step(
  { rows, outputs, threadRows, threadOutputs, depth }: MatmulTile,
  d: number,
): string {
  const row = (i: number) => d * rows + i * rows / threadRows;
  const output = (j: number) => d * outputs + j * outputs / threadOutputs;
  return `    {
      let xAt = ty ^ ${d * swizzle(depth)}u;
      let wAt = tx ^ ${d * swizzle(depth)}u;
${
    range(threadRows).map((i) => `      let x${i} = xs[xAt + ${row(i)}u];`)
      .join("\n")
  }
${
    range(threadOutputs).map((j) =>
      `      {
        let o = ws[wAt + ${output(j)}u];
${
        range(threadRows).map((i) =>
          `        sum${i}_${j} += x${i}.x * o.x; sum${i}_${j} += x${i}.y * o.y; ` +
          `sum${i}_${j} += x${i}.z * o.z; sum${i}_${j} += x${i}.w * o.w;`
        ).join("\n")
      }
      }`
    ).join("\n")
  }
    }`;
}

/** Stores the sums of a thread that exist. */
function writeSums(tile: MatmulTile): string {
  const { rows, outputs, threadRows, threadOutputs } = tile;
  return range(threadRows).map((i) =>
    `  {
    let row = rowBase + ty + ${i * rows / threadRows}u;
    if (row < params.rows) {
${
      range(threadOutputs).map((j) =>
        `      {
        let output = outputBase + tx + ${j * outputs / threadOutputs}u;
        if (output < PART) { store(row * OUTPUTS + FIRST + output, sum${i}_${j}); }
      }`
      ).join("\n")
    }
    }
  }`
  ).join("\n");
}

/** WGSL that brings a step's rows and outputs into workgroup memory. */
interface TileLoads {
  readonly functions: string;
  /** Loads the first step into variables. */
  readonly start: string;
  /** Stores the variables. */
  readonly store: string;
  /** Loads the step from vector `next` on. */
  readonly next: string;
}

/** A load of each thread. */
type TileLoad = Omit<TileLoads, "functions">;

function tileLoads(
  { format, lanes, tile }: MatmulTilesOptions,
  threads: number,
): TileLoads {
  const { rows, outputs, depth } = tile;
  const perThread = (count: number) => range(count / threads);
  const all = [
    ...perThread(rows * depth).map((i) =>
      vectorLoad(tile, threads, i, {
        name: "x",
        rows,
        base: "rowBase",
        last: "params.rows - 1u",
      })
    ),
    ...format === "f32"
      ? perThread(outputs * depth).map((i) =>
        vectorLoad(tile, threads, i, {
          name: "w",
          rows: outputs,
          base: "outputBase",
          last: "PART - 1u",
        })
      )
      : format === "q8"
      ? perThread(outputs * depth).map((i) => q8Load(tile, threads, i))
      : perThread(outputs * 4).map((i) => q4Load(tile, threads, i)),
  ];
  const functions = [
    loadFunction("x", lanes),
    format === "f32" ? loadFunction("w", lanes) : SCALE_OF,
  ];
  const lines = (line: (load: TileLoad) => string) => all.map(line).join("\n");
  return {
    functions: functions.join("\n"),
    start: lines(({ start }) => start),
    store: lines(({ store }) => store),
    next: lines(({ next }) => next),
  };
}

/** Neighbouring threads load the vectors of a row; rows beyond the last repeat it. */
function vectorLoad(
  { depth }: MatmulTile,
  threads: number,
  i: number,
  { name, rows, base, last }: {
    readonly name: "x" | "w";
    readonly rows: number;
    readonly base: string;
    readonly last: string;
  },
): TileLoad {
  const row = `(thread / ${depth}u + ${i * threads / depth}u)`;
  const column = `thread % ${depth}u`;
  const load = (v: string) => `load_${name}(${name}Row${i}, ${v})`;
  return {
    start: `  let ${name}Row${i} = min(${base} + ${row}, ${last});
  var ${name}Next${i} = ${load(column)};`,
    store: `    ${place(name, rows, depth, column, row)} = ${name}Next${i};`,
    next: `    ${name}Next${i} = ${load(`next + ${column}`)};`,
  };
}

/** Neighbouring threads load the words of a row. */
function q8Load(
  { outputs, depth }: MatmulTile,
  threads: number,
  i: number,
): TileLoad {
  const row = `(thread / ${depth}u + ${i * threads / depth}u)`;
  const column = `thread % ${depth}u`;
  const load = (v: string) =>
    `wNext${i} = w[wRow${i} * (K / 4u) + ${v} + ${column}]`;
  return {
    start: `  let wRow${i} = min(outputBase + ${row}, PART - 1u);
  var ${load("0u")};
  var scaleNext${i} = scaleOf(wRow${i}, 0u);`,
    store: `    ${place("w", outputs, depth, column, row)} =
      vec4f(unpack4xI8(wNext${i})) * scaleNext${i};`,
    next: `    ${load(`min(next, K / 4u - ${depth}u)`)};
    scaleNext${i} = scaleOf(wRow${i}, next);`,
  };
}

/** Four threads load the words of a group: the low halves have its first four vectors. */
function q4Load(
  { outputs, depth }: MatmulTile,
  threads: number,
  i: number,
): TileLoad {
  const row = `(thread / 4u + ${i * threads / 4}u)`;
  const column = "thread % 4u";
  const isWhole = depth === GROUP_VECTORS;
  const load = (v: string) =>
    `wNext${i} = w[wRow${i} * (K / 8u) + (${v}) / 8u * 4u + ${column}]`;
  const put = (d: string, halves: string) =>
    `    ${place("w", outputs, depth, d, row)} =
      (vec4f(unpack4xU8(${halves} & 0x0f0f0f0fu)) - 8.0) * scaleNext${i};`;
  const first = isWhole ? `wNext${i}` : `(wNext${i} >> (v & 4u))`;
  const second = put(`(${column} + 4u)`, `(wNext${i} >> 4u)`);
  return {
    start: `  let wRow${i} = min(outputBase + ${row}, PART - 1u);
  var ${load("0u")};
  var scaleNext${i} = scaleOf(wRow${i}, 0u);`,
    store: [put(column, first), ...isWhole ? [second] : []].join("\n"),
    next: `    ${load(`min(next, K / 4u - ${depth}u)`)};
    scaleNext${i} = scaleOf(wRow${i}, next);`,
  };
}

/** Where vector `d` of a row lies in workgroup memory. */
function place(
  name: string,
  rows: number,
  depth: 4 | 8,
  d: string,
  row: string,
): string {
  return `${name}s[${d} * ${rows}u + (${row} ^ (${d} * ${swizzle(depth)}u))]`;
}

/** Eight vectors of neighbouring threads are those of one row, or of two. */
function swizzle(depth: 4 | 8): number {
  return 8 / depth;
}

const SCALE_OF = `
// Of the group from vector v on, or of the last one.
fn scaleOf(row: u32, v: u32) -> f32 {
  let g = min(v / 8u, K / 32u - 1u);
  let pair = unpack2x16float(scales[row * ((K + 63u) / 64u) + (g >> 1u)]);
  return select(pair.x, pair.y, (g & 1u) == 1u);
}
`;

/** Elements 4v .. 4v + 3 of a row, zeros beyond the last. */
function loadFunction(name: string, lanes: 1 | 4): string {
  const body = lanes === 4 ? `return ${name}[row * (K / 4u) + v];` : `
  let at = row * K + 4u * v;
  let left = K - 4u * v;
  var value = vec4f(${name}[at], 0.0, 0.0, 0.0);
  if (left > 1u) { value.y = ${name}[at + 1u]; }
  if (left > 2u) { value.z = ${name}[at + 2u]; }
  if (left > 3u) { value.w = ${name}[at + 3u]; }
  return value;`;
  return `
fn load_${name}(row: u32, v: u32) -> vec4f {
  if (4u * v >= K) { return vec4f(); }
  ${body}
}
`;
}

function forSums(
  { threadRows, threadOutputs }: MatmulTile,
  line: (i: number, j: number) => string,
): string {
  return range(threadRows).flatMap((i) =>
    range(threadOutputs).map((j) => line(i, j))
  ).join("\n");
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
