import { forSums, writeSums } from "./matmul_tiles/sums.ts";
import { range, tileThreads } from "./matmul_tiles/tile.ts";
import { packedLoads, type PackedTilesOptions } from "./packed_tiles/loads.ts";
import { type PackedTile, swizzle } from "./packed_tiles/tile.ts";
import { productStore } from "./product_store.ts";

export type { PackedTile, PackedTilesOptions };

/** As an integer, a float so large that its last bit is one. */
const UNIT_BITS = "0x4b400000";
const UNIT = `${1.5 * 2 ** 23}.0`;

/**
 * WGSL of `matmul` for many rows of bytes, as in prefill:
 * `y[t, first + o] = sum_g scale_x[g, t] scale_w[o, g] sum_k x[t, k] w[o, k]`.
 *
 * `bytes` and `rowScales` as round_rows.ts leaves x, `w` and `scales` of q8 or q4
 * as weight_layout.ts says, `y` `[T, outputs]`. The products of a group are exact,
 * in 32 bits; sums over groups are f32, in order.
 *
 * In workgroup memory a tile is `[vector, row]` of four words, 16 bytes along k;
 * q4 becomes bytes on the way. Row r of vector q lies at `r ^ 4q`, or `r ^ 2q`
 * where there are four: what eight neighbouring threads store lies in different
 * banks. A thread has rows and outputs as far apart as there are threads along
 * them; 32 consecutive threads cover 4 rows and 8 outputs. The sum of a group
 * begins as the bits of a float whose last bit is one: so no conversion, of
 * which a GPU does few at a time, makes it a float. What the next step needs is
 * loaded while this one is multiplied.
 *
 * K may be split among workgroups: then `y` is `[splits, T, outputs]`, to be
 * added (chain.ts).
 *
 * Dispatch: (ceil(part / outputs), ceil(T / rows), splits), of the tile's outputs
 * and rows.
 */
export function packedTilesWgsl(options: PackedTilesOptions): string {
  const { gated, tile } = options;
  const { rows, outputs, threadRows, threadOutputs, groups } = tile;
  const threads = tileThreads(tile);
  const columns = outputs / threadOutputs;
  const store = productStore(4, gated);
  const loads = packedLoads(options, threads);
  const vectors = (count: number, own: number) =>
    `array<array<array<vec4u, ${count / own}>, ${own}>, ${2 * groups}>`;
  const numbers = (count: number, own: number) =>
    `array<array<array<f32, ${count / own}>, ${own}>, ${groups}>`;
  return `
@group(0) @binding(0) var<storage, read> bytes: array<vec4u>;
@group(0) @binding(1) var<storage, read> rowScales: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<vec4u>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
${store.bindings}
struct Params {
  rows: u32,
  groups: u32,  // along k
  first: u32,   // first output of this part
  part: u32,    // outputs of this part
  outputs: u32, // of all parts
  span: u32,    // groups of a split
}
@group(0) @binding(${gated ? 6 : 5}) var<uniform> params: Params;

var<workgroup> xs: ${vectors(rows, threadRows)};
var<workgroup> ws: ${vectors(outputs, threadOutputs)};
var<workgroup> xScales: ${numbers(rows, threadRows)};
var<workgroup> wScales: ${numbers(outputs, threadOutputs)};
${store.functions}
${loads.functions}
@compute @workgroup_size(${threads})
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) group: vec3u,
) {
  let rowBase = group.y * ${rows}u;
  let outputBase = group.x * ${outputs}u;
  let begin = group.z * params.span;
  let end = min(begin + params.span, params.groups);
  let tx = thread % 8u + thread / 32u % ${columns / 8}u * 8u;
  let ty = thread / 8u % 4u + thread / ${4 * columns}u * 4u;
${loads.start}
${forSums(tile, (i, j) => `  var sum${i}_${j} = 0.0;`)}
  for (var g = begin; g < end; g += ${groups}u) {
${loads.store}
    workgroupBarrier();
    let next = g + ${groups}u;
${loads.next}
${range(groups).map((own) => group(tile, own)).join("\n")}
    workgroupBarrier();
  }
${writeSums(tile)}
}
`;
}

/** Multiplies group `own` of a step, of all rows and outputs of a thread. */
function group(tile: PackedTile, own: number): string {
  const { threadRows, threadOutputs } = tile;
  const halves = [2 * own, 2 * own + 1];
  const at = (thread: string, q: number) => `${thread} ^ ${q * swizzle(tile)}u`;
  const words = halves.flatMap((_, h) =>
    ["x", "y", "z", "w"].map((lane) => `${h}.${lane}`)
  );
  return `    {
${
    range(threadRows).map((i) =>
      halves.map((q, h) =>
        `      let x${i}_${h} = xs[${q}][${i}][${at("ty", q)}];`
      ).join("\n") + `
      let s${i} = xScales[${own}][${i}][ty];`
    ).join("\n")
  }
${
    range(threadOutputs).map((j) =>
      `      {
${
        halves.map((q, h) =>
          `        let w${h} = ws[${q}][${j}][${at("tx", q)}];`
        ).join("\n")
      }
        let s = wScales[${own}][${j}][tx];
${
        range(threadRows).map((i) =>
          `        sum${i}_${j} += s${i} * s * (bitcast<f32>(${
            words.reduce(
              (sum, word) => `(${sum} + dot4I8Packed(x${i}_${word}, w${word}))`,
              UNIT_BITS,
            )
          }) - ${UNIT});`
        ).join("\n")
      }
      }`
    ).join("\n")
  }
    }`;
}
