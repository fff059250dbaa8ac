import type { WeightFormat } from "../../../../core/dtype.ts";
import { type MatmulTile, range, swizzle } from "./tile.ts";

/** Vectors of four in a group of quantised values. */
const GROUP_VECTORS = 8;

/** A `matmul` of many rows. */
export interface MatmulTilesOptions {
  readonly format: WeightFormat;
  /** Elements of a load: 4 where 4 divides K. Quantised weights have 4. */
  readonly lanes: 1 | 4;
  /** Whether y is multiplied by `gelu(gate)`. */
  readonly gated: boolean;
  readonly tile: MatmulTile;
}

/** WGSL that brings a step's rows and outputs into workgroup memory. */
export interface TileLoads {
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

/** The loads of a kernel. */
export function tileLoads(
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
        own: tile.threadRows,
        base: "rowBase",
        last: "params.rows - 1u",
      })
    ),
    ...format === "f32"
      ? perThread(outputs * depth).map((i) =>
        vectorLoad(tile, threads, i, {
          name: "w",
          rows: outputs,
          own: tile.threadOutputs,
          base: "outputBase",
          last: "params.part - 1u",
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
  { name, rows, own, base, last }: {
    readonly name: "x" | "w";
    readonly rows: number;
    readonly own: number;
    readonly base: string;
    readonly last: string;
  },
): TileLoad {
  const row = `(thread / ${depth}u + ${i * threads / depth}u)`;
  const column = `thread % ${depth}u`;
  const load = (v: string) => `load_${name}(${name}Row${i}, ${v})`;
  return {
    start: `  let ${name}Row${i} = min(${base} + ${row}, ${last});
  var ${name}Next${i} = ${load(`begin + ${column}`)};`,
    store: `    ${
      place(name, { rows, own, depth }, column, row)
    } = ${name}Next${i};`,
    next: `    ${name}Next${i} = ${load(`next + ${column}`)};`,
  };
}

/** Neighbouring threads load the words of a row. */
function q8Load(
  { outputs, threadOutputs, depth }: MatmulTile,
  threads: number,
  i: number,
): TileLoad {
  const row = `(thread / ${depth}u + ${i * threads / depth}u)`;
  const column = `thread % ${depth}u`;
  const load = (v: string) =>
    `wNext${i} = w[wRow${i} * (params.k / 4u) + ${v} + ${column}]`;
  return {
    start: `  let wRow${i} = min(outputBase + ${row}, params.part - 1u);
  var ${load("begin")};
  var scaleNext${i} = scaleOf(wRow${i}, begin);`,
    store: `    ${
      place("w", { rows: outputs, own: threadOutputs, depth }, column, row)
    } =
      vec4f(unpack4xI8(wNext${i})) * scaleNext${i};`,
    next: `    ${load(`min(next, params.k / 4u - ${depth}u)`)};
    scaleNext${i} = scaleOf(wRow${i}, next);`,
  };
}

/** Four threads load the words of a group: the low halves have its first four vectors. */
function q4Load(
  { outputs, threadOutputs, depth }: MatmulTile,
  threads: number,
  i: number,
): TileLoad {
  const row = `(thread / 4u + ${i * threads / 4}u)`;
  const column = "thread % 4u";
  const isWhole = depth === GROUP_VECTORS;
  const load = (v: string) =>
    `wNext${i} = w[wRow${i} * (params.k / 8u) + (${v}) / 8u * 4u + ${column}]`;
  const put = (d: string, halves: string) =>
    `    ${place("w", { rows: outputs, own: threadOutputs, depth }, d, row)} =
      (vec4f(unpack4xU8(${halves} & 0x0f0f0f0fu)) - 8.0) * scaleNext${i};`;
  const first = isWhole ? `wNext${i}` : `(wNext${i} >> (v & 4u))`;
  const second = put(`(${column} + 4u)`, `(wNext${i} >> 4u)`);
  return {
    start: `  let wRow${i} = min(outputBase + ${row}, params.part - 1u);
  var ${load("begin")};
  var scaleNext${i} = scaleOf(wRow${i}, begin);`,
    store: [put(column, first), ...isWhole ? [second] : []].join("\n"),
    next: `    ${load(`min(next, params.k / 4u - ${depth}u)`)};
    scaleNext${i} = scaleOf(wRow${i}, next);`,
  };
}

/** Where vector `d` of a row lies in workgroup memory; each thread has `own` of the rows. */
function place(
  name: string,
  { rows, own, depth }: {
    readonly rows: number;
    readonly own: number;
    readonly depth: 4 | 8;
  },
  d: string,
  row: string,
): string {
  const threads = rows / own;
  return `${name}s[${d}][${row} / ${threads}u][(${row} % ${threads}u) ^ (${d} * ${
    swizzle(depth)
  }u)]`;
}

const SCALE_OF = `
// Of the group from vector v on, or of the last one.
fn scaleOf(row: u32, v: u32) -> f32 {
  let g = min(v / 8u, params.k / 32u - 1u);
  let pair = unpack2x16float(scales[row * ((params.k + 63u) / 64u) + (g >> 1u)]);
  return select(pair.x, pair.y, (g & 1u) == 1u);
}
`;

/** Elements 4v .. 4v + 3 of a row, zeros beyond the last. */
function loadFunction(name: string, lanes: 1 | 4): string {
  const body = lanes === 4 ? `return ${name}[row * (params.k / 4u) + v];` : `
  let at = row * params.k + 4u * v;
  let left = params.k - 4u * v;
  var value = vec4f(${name}[at], 0.0, 0.0, 0.0);
  if (left > 1u) { value.y = ${name}[at + 1u]; }
  if (left > 2u) { value.z = ${name}[at + 2u]; }
  if (left > 3u) { value.w = ${name}[at + 3u]; }
  return value;`;
  return `
fn load_${name}(row: u32, v: u32) -> vec4f {
  if (4u * v >= params.k) { return vec4f(); }
  ${body}
}
`;
}
