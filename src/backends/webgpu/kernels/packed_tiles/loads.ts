import { range } from "../matmul_tiles/tile.ts";
import { type PackedTile, swizzle } from "./tile.ts";

/** A `matmul` of many rows of bytes. */
export interface PackedTilesOptions {
  readonly format: "q8" | "q4";
  /** Whether y is multiplied by `gelu(gate)`. */
  readonly gated: boolean;
  readonly tile: PackedTile;
}

/** A load of each thread. */
interface PackedLoad {
  /** Loads the first step into variables. */
  readonly start: string;
  /** Stores the variables. */
  readonly store: string;
  /** Loads the step from group `next` on. */
  readonly next: string;
}

/** WGSL that brings a step's rows and outputs into workgroup memory. */
export function packedLoads(
  { format, tile }: PackedTilesOptions,
  threads: number,
): PackedLoad & { readonly functions: string } {
  const { rows, outputs, groups } = tile;
  const each = (
    count: number,
    load: (
      index: string,
      name: string,
      guard: (line: string) => string,
    ) => PackedLoad,
    prefix: string,
  ) =>
    range(Math.ceil(count / threads)).map((i) => {
      const index = i === 0 ? "thread" : `(thread + ${i * threads}u)`;
      const isWhole = (i + 1) * threads <= count;
      return load(
        index,
        `${prefix}${i}`,
        (line) => isWhole ? line : `if (${index} < ${count}u) { ${line} }`,
      );
    });
  const all = [
    ...each(
      rows * 2 * groups,
      (index, name, guard) =>
        vectorLoad(tile, index, name, guard, {
          memory: "xs",
          count: rows,
          own: tile.threadRows,
          from: "bytes",
          row: "rowBase",
          last: "params.rows - 1u",
        }),
      "x",
    ),
    ...format === "q8"
      ? each(
        outputs * 2 * groups,
        (index, name, guard) =>
          vectorLoad(tile, index, name, guard, {
            memory: "ws",
            count: outputs,
            own: tile.threadOutputs,
            from: "w",
            row: "outputBase",
            last: "params.part - 1u",
          }),
        "w",
      )
      : each(
        outputs * groups,
        (index, name, guard) => q4Load(tile, index, name, guard),
        "w",
      ),
    ...each(
      rows * groups,
      (index, name, guard) => rowScale(tile, index, name, guard),
      "xScale",
    ),
    ...each(
      outputs * groups,
      (index, name, guard) => outputScale(tile, index, name, guard),
      "wScale",
    ),
  ];
  const lines = (line: (load: PackedLoad) => string) =>
    all.map(line).join("\n");
  return {
    functions: SCALES,
    start: lines(({ start }) => start),
    store: lines(({ store }) => store),
    next: lines(({ next }) => next),
  };
}

/** Neighbouring threads load the vectors of a row; rows beyond the last repeat it, and so do groups. */
function vectorLoad(
  tile: PackedTile,
  index: string,
  name: string,
  guard: (line: string) => string,
  { memory, count, own, from, row, last }: {
    readonly memory: string;
    readonly count: number;
    readonly own: number;
    readonly from: string;
    readonly row: string;
    readonly last: string;
  },
): PackedLoad {
  const vectors = 2 * tile.groups;
  const place = `${index} / ${vectors}u`;
  const q = `${index} % ${vectors}u`;
  const load = (g: string) =>
    `${from}[${name}Row * (2u * params.groups) + min(2u * ${g} + ${q}, 2u * params.groups - 1u)]`;
  return {
    start: `  let ${name}Row = min(${row} + ${place}, ${last});
  var ${name} = ${load("begin")};`,
    store: `    ${
      guard(`${vectorAt(tile, memory, count / own, q, place)} = ${name};`)
    }`,
    next: `    ${name} = ${load("next")};`,
  };
}

/** A vector has a group: its low halves are the first vector of bytes. */
function q4Load(
  tile: PackedTile,
  index: string,
  name: string,
  guard: (line: string) => string,
): PackedLoad {
  const { groups, outputs, threadOutputs } = tile;
  const place = `${index} / ${groups}u`;
  const own = `${index} % ${groups}u`;
  const load = (g: string) =>
    `w[${name}Row * params.groups + min(${g} + ${own}, params.groups - 1u)]`;
  const put = (half: number, words: string) =>
    `${
      vectorAt(
        tile,
        "ws",
        outputs / threadOutputs,
        `(2u * (${own}) + ${half}u)`,
        place,
      )
    } = bytesOfHalves(${words});`;
  return {
    start: `  let ${name}Row = min(outputBase + ${place}, params.part - 1u);
  var ${name} = ${load("begin")};`,
    store: `    ${guard(`${put(0, name)} ${put(1, `${name} >> vec4u(4u)`)}`)}`,
    next: `    ${name} = ${load("next")};`,
  };
}

/** Neighbouring threads load the scales of neighbouring rows. */
function rowScale(
  { rows, threadRows }: PackedTile,
  index: string,
  name: string,
  guard: (line: string) => string,
): PackedLoad {
  const row = `${index} % ${rows}u`;
  const own = `${index} / ${rows}u`;
  const load = (g: string) => `rowScaleOf(${name}Row, ${g} + ${own}, end)`;
  return {
    start: `  let ${name}Row = min(rowBase + ${row}, params.rows - 1u);
  var ${name} = ${load("begin")};`,
    store: `    ${
      guard(`${numberAt("xScales", rows / threadRows, own, row)} = ${name};`)
    }`,
    next: `    ${name} = ${load("next")};`,
  };
}

function outputScale(
  { groups, outputs, threadOutputs }: PackedTile,
  index: string,
  name: string,
  guard: (line: string) => string,
): PackedLoad {
  const output = `${index} / ${groups}u`;
  const own = `${index} % ${groups}u`;
  const load = (g: string) => `outputScaleOf(${name}Row, ${g} + ${own}, end)`;
  return {
    start: `  let ${name}Row = min(outputBase + ${output}, params.part - 1u);
  var ${name} = ${load("begin")};`,
    store: `    ${
      guard(
        `${
          numberAt("wScales", outputs / threadOutputs, own, output)
        } = ${name};`,
      )
    }`,
    next: `    ${name} = ${load("next")};`,
  };
}

/** Where vector `q` of a row lies in workgroup memory, of `threads` along the rows. */
function vectorAt(
  tile: PackedTile,
  memory: string,
  threads: number,
  q: string,
  row: string,
): string {
  return `${memory}[${q}][${row} / ${threads}u][(${row} % ${threads}u) ^ (${q} * ${
    swizzle(tile)
  }u)]`;
}

function numberAt(
  memory: string,
  threads: number,
  own: string,
  row: string,
): string {
  return `${memory}[${own}][(${row}) / ${threads}u][(${row}) % ${threads}u]`;
}

const SCALES = `
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
