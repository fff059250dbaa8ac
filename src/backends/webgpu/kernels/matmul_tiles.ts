import { productStore } from "./product_store.ts";
import { type MatmulTilesOptions, tileLoads } from "./matmul_tiles/loads.ts";
import { forSums, writeSums } from "./matmul_tiles/sums.ts";
import {
  type MatmulTile,
  range,
  swizzle,
  tileThreads,
  tileType,
} from "./matmul_tiles/tile.ts";

export type { MatmulTilesOptions };

/**
 * WGSL of `matmul` for many rows, as in prefill:
 * `y[t, first + o] = sum_k x[t, k] w[o, k]`.
 *
 * `x` `[T, K]` f32, `w` as weight_layout.ts says, `scales` for q8 and q4, `y`
 * `[T, outputs]`. Weights are dequantised to f32 on their way into workgroup
 * memory; sums are f32, over k in order.
 *
 * In workgroup memory a tile is `[k / 4, row]` of vectors along k. Row r of
 * vector d lies at `r ^ d`, or `r ^ 2d` where there are four: what eight
 * neighbouring threads store lies in different banks, and so does what they
 * load. A thread has rows and outputs as far apart as there are threads along
 * them, its sums in registers; 32 consecutive threads cover 4 rows and 8
 * outputs. Which of its rows a thread loads is an index of its own, a constant:
 * what compilers add to keep a varying index within bounds is then there once a
 * vector. What the next step needs is loaded while this one is multiplied. Sizes
 * are parameters: to compile so long a kernel takes long.
 *
 * K may be split among workgroups: then `y` is `[splits, T, outputs]`, to be
 * added (chain.ts).
 *
 * Dispatch: (ceil(part / outputs), ceil(T / rows), splits), of the tile's outputs
 * and rows.
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
struct Params {
  rows: u32,
  k: u32,
  first: u32,   // first output of this part
  part: u32,    // outputs of this part
  outputs: u32, // of all parts
  span: u32,    // vectors of four along k of a split
}
@group(0) @binding(${
    (quantized ? 4 : 3) + (gated ? 1 : 0)
  }) var<uniform> params: Params;

var<workgroup> xs: ${tileType(tile.depth, tile.rows, tile.threadRows)};
var<workgroup> ws: ${tileType(tile.depth, tile.outputs, tile.threadOutputs)};
${store.functions}
${loads.functions}
@compute @workgroup_size(${threads})
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) group: vec3u,
) {
  let rowBase = group.y * ${tile.rows}u;
  let outputBase = group.x * ${tile.outputs}u;
  let begin = group.z * params.span;
  let end = min(begin + params.span, (params.k + 3u) / 4u);
  let tx = thread % 8u + thread / 32u % ${columns / 8}u * 8u;
  let ty = thread / 8u % 4u + thread / ${4 * columns}u * 4u;
${loads.start}
${forSums(tile, (i, j) => `  var sum${i}_${j} = 0.0;`)}
  for (var v = begin; v < end; v += ${tile.depth}u) {
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
  { threadRows, threadOutputs, depth }: MatmulTile,
  d: number,
): string {
  return `    {
      let xAt = ty ^ ${d * swizzle(depth)}u;
      let wAt = tx ^ ${d * swizzle(depth)}u;
${
    range(threadRows).map((i) => `      let x${i} = xs[${d}][${i}][xAt];`)
      .join("\n")
  }
${
    range(threadOutputs).map((j) =>
      `      {
        let o = ws[${d}][${j}][wAt];
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
