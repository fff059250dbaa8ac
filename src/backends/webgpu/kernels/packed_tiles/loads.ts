import { range } from "../matmul_tiles/tile.ts";
import { type PackedTile, swizzle } from "./tile.ts";

/** A `matmul` of many rows of bytes. */
export interface PackedTilesOptions {
  readonly format: "q8" | "q4";
  /** Whether y is multiplied by `gelu(gate)`. */
  readonly gated: boolean;
  readonly tile: PackedTile;
}

/** WGSL of loads of each thread. */
interface PackedLoad {
  /** Loads the first step into variables. */
  readonly start: string;
  /** Stores the variables. */
  readonly store: string;
  /** Loads the step from group `next` on. */
  readonly next: string;
}

/** Rows or outputs of a tile. */
interface Side {
  readonly count: number;
  /** Of a thread, when it multiplies. */
  readonly own: number;
  /** The first one, and the last that there is, as WGSL. */
  readonly base: string;
  readonly last: string;
}

/** A load of each thread. */
interface Slot {
  /** Of its variables. */
  readonly name: string;
  /** Which load it is, as WGSL. */
  readonly index: string;
  /** Does `line` where the load is one of those wanted. */
  guard(line: string): string;
}

/** WGSL that brings a step's rows and outputs into workgroup memory. */
export function packedLoads(
  { format, tile }: PackedTilesOptions,
  threads: number,
): PackedLoad & { readonly functions: string } {
  const { groups } = tile;
  const rows: Side = {
    count: tile.rows,
    own: tile.threadRows,
    base: "rowBase",
    last: "params.rows - 1u",
  };
  const outputs: Side = {
    count: tile.outputs,
    own: tile.threadOutputs,
    base: "outputBase",
    last: "params.part - 1u",
  };
  const slots = (name: string, side: Side, each: number) =>
    slotsOf(name, side.count * each, threads);
  const all = [
    ...slots("x", rows, 2 * groups).map((slot) =>
      vectorLoad(tile, rows, slot, { memory: "xs", from: "bytes" })
    ),
    ...format === "q8"
      ? slots("w", outputs, 2 * groups).map((slot) =>
        vectorLoad(tile, outputs, slot, { memory: "ws", from: "w" })
      )
      : slots("w", outputs, groups).map((slot) => q4Load(tile, outputs, slot)),
    ...slots("xScale", rows, groups).map((slot) => rowScale(rows, slot)),
    ...slots("wScale", outputs, groups).map((slot) =>
      outputScale(tile, outputs, slot)
    ),
  ];
  const lines = (line: (load: PackedLoad) => string) =>
    all.map(line).join("\n");
  return {
    functions: FUNCTIONS,
    start: lines(({ start }) => start),
    store: lines(({ store }) => store),
    next: lines(({ next }) => next),
  };
}

/** Divides `count` loads among the threads. */
function slotsOf(name: string, count: number, threads: number): Slot[] {
  return range(Math.ceil(count / threads)).map((i) => {
    const index = i === 0 ? "thread" : `(thread + ${i * threads}u)`;
    const isWhole = (i + 1) * threads <= count;
    return {
      name: `${name}${i}`,
      index,
      guard: (line) => isWhole ? line : `if (${index} < ${count}u) { ${line} }`,
    };
  });
}

/** Neighbouring threads load the vectors of a row; rows beyond the last repeat it, and so do groups. */
function vectorLoad(
  tile: PackedTile,
  side: Side,
  { name, index, guard }: Slot,
  { memory, from }: Readonly<Record<"memory" | "from", string>>,
): PackedLoad {
  const vectors = 2 * tile.groups;
  const place = `${index} / ${vectors}u`;
  const q = `${index} % ${vectors}u`;
  const load = (g: string) =>
    `${name} = ${from}[${name}Row * (2u * params.groups) + min(2u * ${g} + ${q}, 2u * params.groups - 1u)];`;
  return {
    start: `  let ${name}Row = min(${side.base} + ${place}, ${side.last});
  var ${load("begin")}`,
    store: `    ${
      guard(`${vectorAt(tile, side, memory, q, place)} = ${name};`)
    }`,
    next: `    ${load("next")}`,
  };
}

/** A vector has a group: its low halves are the first vector of bytes. */
function q4Load(
  tile: PackedTile,
  side: Side,
  { name, index, guard }: Slot,
): PackedLoad {
  const place = `${index} / ${tile.groups}u`;
  const own = `${index} % ${tile.groups}u`;
  const load = (g: string) =>
    `${name} = w[${name}Row * params.groups + min(${g} + ${own}, params.groups - 1u)];`;
  const put = (half: number, words: string) => {
    const q = `(2u * (${own}) + ${half}u)`;
    return `${vectorAt(tile, side, "ws", q, place)} = bytesOfHalves(${words});`;
  };
  return {
    start: `  let ${name}Row = min(${side.base} + ${place}, ${side.last});
  var ${load("begin")}`,
    store: `    ${guard(`${put(0, name)} ${put(1, `${name} >> vec4u(4u)`)}`)}`,
    next: `    ${load("next")}`,
  };
}

/** Neighbouring threads load the scales of neighbouring rows. */
function rowScale(side: Side, { name, index, guard }: Slot): PackedLoad {
  const row = `${index} % ${side.count}u`;
  const own = `${index} / ${side.count}u`;
  const load = (g: string) =>
    `${name} = rowScaleOf(${name}Row, ${g} + ${own}, end);`;
  return {
    start: `  let ${name}Row = min(${side.base} + ${row}, ${side.last});
  var ${load("begin")}`,
    store: `    ${guard(`${numberAt(side, "xScales", own, row)} = ${name};`)}`,
    next: `    ${load("next")}`,
  };
}

/** Neighbouring threads load the scales of an output, which lie side by side. */
function outputScale(
  { groups }: PackedTile,
  side: Side,
  { name, index, guard }: Slot,
): PackedLoad {
  const output = `${index} / ${groups}u`;
  const own = `${index} % ${groups}u`;
  const load = (g: string) =>
    `${name} = outputScaleOf(${name}Row, ${g} + ${own}, end);`;
  return {
    start: `  let ${name}Row = min(${side.base} + ${output}, ${side.last});
  var ${load("begin")}`,
    store: `    ${
      guard(`${numberAt(side, "wScales", own, output)} = ${name};`)
    }`,
    next: `    ${load("next")}`,
  };
}

/** Where vector `q` of a row or output lies in workgroup memory. */
function vectorAt(
  tile: PackedTile,
  { count, own }: Side,
  memory: string,
  q: string,
  place: string,
): string {
  const threads = count / own;
  return `${memory}[${q}][${place} / ${threads}u][(${place} % ${threads}u) ^ (${q} * ${
    swizzle(tile)
  }u)]`;
}

function numberAt(
  { count, own }: Side,
  memory: string,
  group: string,
  place: string,
): string {
  const threads = count / own;
  return `${memory}[${group}][(${place}) / ${threads}u][(${place}) % ${threads}u]`;
}

const FUNCTIONS = `
// 0 for groups beyond the end of a split.
fn rowScaleOf(row: u32, g: u32, end: u32) -> f32 {
  return select(0.0, rowScales[min(g, params.groups - 1u) * params.rows + row], g < end);
}
fn outputScaleOf(output: u32, g: u32, end: u32) -> f32 {
  let at = min(g, params.groups - 1u);
  let pair = unpack2x16float(scales[output * ((params.groups + 1u) / 2u) + (at >> 1u)]);
  return select(0.0, select(pair.x, pair.y, (at & 1u) == 1u), g < end);
}
// Halves of 0 to 15 as bytes of -8 to 7.
fn bytesOfHalves(words: vec4u) -> vec4u {
  let halves = (words & vec4u(0x0f0f0f0fu)) | vec4u(0x80808080u);
  return (halves - vec4u(0x08080808u)) ^ vec4u(0x80808080u);
}
`;
