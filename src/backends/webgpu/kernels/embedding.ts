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
