// Sizes that the parts of the attention kernel share.
import { fits } from "./kernel.ts";
import type { LayerShape } from "./layer_shape.ts";

/** Threads of a workgroup, some for each key of a tile. */
export const THREADS = 256;
/** Keys of a tile, whose scores exist at a time. */
const TILE_KEYS = 64;
/** The same where few keys are seen: more workgroups have less each. */
const SHORT_TILE_KEYS = 32;
/** Keys that small tiles are for: above, merging so many splits would cost more. */
const SHORT_KEYS = 256;

/** Keys of a tile where a row sees so many. */
export function attendKeys(
  { headDim }: Pick<LayerShape, "headDim">,
  seen: number,
): number {
  // A thread has at least a quad of a key, and of a value.
  const divides = headDim / 4 >= THREADS / SHORT_TILE_KEYS;
  return divides && seen <= SHORT_KEYS ? SHORT_TILE_KEYS : TILE_KEYS;
}

/** Sizes of a layer's attention. */
export interface AttendSize {
  /** Keys of a tile. */
  readonly keys: number;
  /** Threads of a key. */
  readonly lanes: number;
  /** Query heads of a key-value head, G: a thread for each of their scores. */
  readonly shared: number;
  readonly kvHeads: number; // K
  /** Quads of a head. */
  readonly quads: number;
  /** Values that the threads meet at a time. */
  readonly together: number;
  /** Whether the layer has keys and values of its own. */
  readonly owning: boolean;
  /** Lanes of a subgroup; 0 where the threads of a head's scores are no whole subgroups. */
  readonly subgroupSize: number;
}

/** The sizes of a layer. */
export function attendSize(
  { heads, kvHeads, headDim, keyValue, subgroups }: LayerShape,
  keys: number,
): AttendSize {
  const { subgroupSize } = subgroups;
  return {
    keys,
    lanes: THREADS / keys,
    shared: heads / kvHeads,
    kvHeads,
    quads: headDim / 4,
    together: THREADS / (headDim / 4),
    owning: keyValue !== undefined,
    subgroupSize: fits(subgroupSize, keys) ? subgroupSize : 0,
  };
}
