import type { FloatCacheDtype } from "../../../../core/dtype.ts";
import { kvStoreWgsl } from "../kv_store.ts";
import { begin, rotate, rotateFunction } from "./attend_query.ts";
import { type AttendSize, attendSize, THREADS } from "./attend_size.ts";
import {
  headsTogether,
  leavePartials,
  RING_SLOT,
  tileLoop,
} from "./attend_tiles.ts";
import { kernelCode, WorkgroupSums } from "./kernel.ts";
import type { LayerKernel, LayerShape } from "./layer_shape.ts";

/** The dimensions of a head that the threads of a key and of a value divide. */
export const ATTEND_HEADS: readonly number[] = [16, 32, 64, 128, 256];

/**
 * WGSL of a layer's second kernel: queries, and the new key and value where the
 * layer has its own, are normed and rotated, and the query heads of a key-value
 * head meet a part of its keys, with a running largest score and a running sum
 * (online softmax).
 *
 * `projected` as project.ts leaves it, `table` `[2, H / 2]` of cosines and sines,
 * `ring` of keys and, from `values` on, of values, `[capacity, K, H]` each. The row
 * at `position` sees positions `position - window + 1 .. position`, which the splits
 * divide. The last split takes the new key and value from registers and writes them
 * to the ring; no other one reads their place. Writes `partials`: largest score and
 * sum of each split `[N, splits]`, a quad each, then `[N, splits, H]`, unscaled.
 *
 * A tile is `tileKeys` keys, see attend_size.ts. Its values are loaded while its scores become
 * weights. Dispatch: (K, splits).
 */
export function attendKernel(
  shape: LayerShape,
  dtype: FloatCacheDtype,
  tileKeys: number,
): LayerKernel {
  const { subgroups, window } = shape;
  const size = attendSize(shape, tileKeys);
  const sums = new WorkgroupSums(subgroups, THREADS);
  const body = [
    keyRange(shape, tileKeys),
    rotate(shape, size, sums),
    begin(size, sums),
    tileLoop(size),
    leavePartials(size),
  ];
  return {
    label: `decoderLayer attend ${window === undefined ? "full" : "sliding"}`,
    groups: size.kvHeads,
    cost: 0, // the caller knows how many keys there are
    ...kernelCode(subgroups, {
      threads: THREADS,
      bindings: [
        { name: "projected", element: "vec4f" },
        { name: "table", element: "vec4f" },
        { name: "ring", element: "KvVector", writes: size.owning },
        { name: "partials", element: "vec4f", writes: true },
      ],
      params: ["position", "capacity", "values"],
      declarations: [
        kvStoreWgsl(dtype),
        rotateFunction(size),
        RING_SLOT,
        memory(size),
        sums.declaration(),
      ],
      body,
    }),
  };
}

function memory(size: AttendSize): string {
  const { keys, shared, quads, together, subgroupSize } = size;
  const heads = headsTogether(size);
  const tops = shared * (subgroupSize > 0 ? keys / subgroupSize : keys);
  return `// Below every score; infinity minus itself would be NaN.
const LOWEST = -3.4e38;
var<workgroup> query: array<vec4f, ${shared * quads}>;
var<workgroup> parts: array<f32, ${shared * THREADS}>; // [g, key, lane]
var<workgroup> tops: array<f32, ${tops}>; // largest scores of parts of the keys
var<workgroup> weights: array<f32, ${shared * keys}>; // [g, key]
// By the parity of the tile, so that it can be read while the next is written.
var<workgroup> largest: array<f32, ${2 * shared}>;
var<workgroup> shrink: array<f32, ${shared}>;
var<workgroup> sumQuads: array<vec4f, ${heads * THREADS}>; // [g, thread]
var<workgroup> sumWeights: array<f32, ${heads * together}>; // [g, value]`;
}

/** Positions `begin .. end` of the ring that this split meets. */
function keyRange(
  { window, keyValue }: LayerShape,
  tileKeys: number,
): string {
  return `  let head = group.x;
  let split = group.y;
  let isLast = split + 1u == groups.y;
  var firstKey = 0u;
${
    window === undefined
      ? ""
      : `  if (params.position >= ${window}u) { firstKey = params.position - ${
        window - 1
      }u; }`
  }
  // A new key is in no ring yet.
  let pastKey = params.position${keyValue ? "" : " + 1u"};
  let tiles = (pastKey - firstKey + ${tileKeys - 1}u) / ${tileKeys}u;
  let tilesPerSplit = (tiles + groups.y - 1u) / groups.y;
  let begin = firstKey + split * tilesPerSplit * ${tileKeys}u;
  let end = min(pastKey, begin + tilesPerSplit * ${tileKeys}u);`;
}
