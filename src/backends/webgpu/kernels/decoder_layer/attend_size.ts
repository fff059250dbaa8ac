// Sizes that the parts of the attention kernel share.
import { fits } from "./kernel.ts";
import type { LayerShape } from "./layer_shape.ts";

/** Threads of a workgroup: four for each key of a tile. */
export const THREADS = 256;
/** Keys whose scores exist at a time. */
export const KEYS = 64;
/** Threads of a key. */
export const LANES = THREADS / KEYS;

/** Sizes of a layer's attention. */
export interface AttendSize {
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
): AttendSize {
  const { subgroupSize } = subgroups;
  return {
    shared: heads / kvHeads,
    kvHeads,
    quads: headDim / 4,
    together: THREADS / (headDim / 4),
    owning: keyValue !== undefined,
    subgroupSize: fits(subgroupSize, KEYS) ? subgroupSize : 0,
  };
}
