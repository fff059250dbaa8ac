import type { WeightFormat } from "../../../core/dtype.ts";
import { elementsWgsl } from "./elements.ts";

/** Tables in quantised formats, as weight_layout.ts lays them out. */
const SCALES = `
@group(0) @binding(1) var<storage, read> scales: array<u32>;

// Scale of group \`group\` of a row.
fn scaleOf(row: u32, group: u32) -> f32 {
  let pair = unpack2x16float(scales[row * ((WIDTH + 63u) / 64u) + group / 2u]);
  return pair[group % 2u];
}
`;

const TABLES: Readonly<Record<WeightFormat, string>> = {
  f32: `
@group(0) @binding(0) var<storage, read> table: array<f32>;

fn elementOf(row: u32, d: u32) -> f32 { return table[row * WIDTH + d]; }
`,
  q8: `${SCALES}
@group(0) @binding(0) var<storage, read> table: array<u32>;

fn elementOf(row: u32, d: u32) -> f32 {
  let word = bitcast<i32>(table[(row * WIDTH + d) / 4u]);
  let quant = extractBits(word, 8u * (d % 4u), 8u);
  return scaleOf(row, d / 32u) * f32(quant);
}
`,
  q4: `${SCALES}
@group(0) @binding(0) var<storage, read> table: array<u32>;

fn elementOf(row: u32, d: u32) -> f32 {
  let word = table[row * WIDTH / 8u + d / 32u * 4u + d % 16u / 4u];
  let nibble = extractBits(word, 8u * (d % 4u) + 4u * (d % 32u / 16u), 4u);
  return scaleOf(row, d / 32u) * (f32(nibble) - 8.0);
}
`,
};

/** Ids of the host. */
const HOST_IDS = `
struct Params { rows: u32, tableFirst: u32, tableRows: u32 }

fn idOf(t: u32) -> u32 { return ids[t]; }
`;

/** Ids that the device has chosen: numbers, from `params.first` on. */
const CHOSEN_IDS = `
struct Params { rows: u32, tableFirst: u32, tableRows: u32, first: u32 }

override VOCAB: u32;

fn idOf(t: u32) -> u32 {
  return min(u32(max(ids[params.first + t], 0.0)), VOCAB - 1u);
}
`;

function embedding(format: WeightFormat, chosen: boolean): string {
  const ids = format === "f32" ? 1 : 2;
  return `${elementsWgsl}${chosen ? CHOSEN_IDS : HOST_IDS}
@group(0) @binding(${ids}) var<storage, read> ids: array<${
    chosen ? "f32" : "u32"
  }>;
@group(0) @binding(${ids + 1}) var<storage, read_write> y: array<f32>;
@group(0) @binding(${ids + 2}) var<uniform> params: Params;

override WIDTH: u32; // D
override FACTOR: f32;
${TABLES[format]}
@compute @workgroup_size(THREADS)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let i = element(id, groups);
  let t = i / WIDTH;
  if (t >= params.rows) { return; }
  let row = idOf(t) - params.tableFirst; // wraps around before the first
  if (row >= params.tableRows) { return; }
  y[i] = elementOf(row, i % WIDTH) * FACTOR;
}
`;
}

function ofEachFormat(chosen: boolean): Readonly<Record<WeightFormat, string>> {
  return {
    f32: embedding("f32", chosen),
    q8: embedding("q8", chosen),
    q4: embedding("q4", chosen),
  };
}

/**
 * WGSL of `embedding` from rows `tableFirst .. tableFirst + tableRows` of a
 * table of each format: `y[t] = table[ids[t]] * FACTOR`; other ids are left
 * to other parts of the table.
 *
 * `y` `[T, D]` f32, `ids` `[T]` u32.
 *
 * Dispatch: `T * D` threads in a grid of any width.
 */
export const embeddingWgsl: Readonly<Record<WeightFormat, string>> =
  ofEachFormat(false);

/**
 * The same for ids that the device has chosen: `ids` f32, of which row t takes
 * element `first + t`. The whole table has `VOCAB` rows; an id outside takes
 * the nearest one.
 */
export const chosenEmbeddingWgsl: Readonly<Record<WeightFormat, string>> =
  ofEachFormat(true);

/** A table of which a kernel takes quads. */
export interface TableQuadOptions {
  readonly format: WeightFormat;
  /** D, a multiple of 4. */
  readonly width: number;
  readonly scale: number;
}

/** What a kernel needs of a table: its buffers, and `fn <name>Quad(row, q) -> vec4f`. */
export interface TableQuads {
  readonly bindings: readonly { name: string; element: string }[];
  readonly functions: string;
}

/** WGSL of quads of a table's rows, for kernels that look up what they need themselves. */
export function tableQuadWgsl(
  name: string,
  { format, width, scale }: TableQuadOptions,
): TableQuads {
  const factor = `${Math.fround(scale)}f`;
  const [values, scales] = [`${name}Values`, `${name}Scales`];
  const head = `fn ${name}Quad(row: u32, q: u32) -> vec4f {`;
  if (format === "f32") {
    return {
      bindings: [{ name: values, element: "vec4f" }],
      functions: `${head} return ${values}[row * ${
        width / 4
      }u + q] * ${factor}; }`,
    };
  }
  const quants = format === "q8"
    ? `vec4f(unpack4xI8(${values}[row * ${width / 4}u + q]))`
    : `(vec4f(unpack4xU8((${values}[row * ${
      width / 8
    }u + q / 8u * 4u + q % 4u] >> (q & 4u)) & 0x0f0f0f0fu)) - 8.0)`;
  return {
    bindings: [{ name: values, element: "u32" }, {
      name: scales,
      element: "u32",
    }],
    functions: `${head}
  let pair = unpack2x16float(${scales}[row * ${
      Math.ceil(width / 64)
    }u + q / 16u]);
  return pair[q / 8u % 2u] * ${quants} * ${factor};
}`,
  };
}
