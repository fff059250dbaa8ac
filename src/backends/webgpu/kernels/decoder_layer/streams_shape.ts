// What the kernels before and after the layers are made for.
import type { SubgroupFeatures } from "../../features.ts";
import type { MatrixPlace } from "./layer_shape.ts";
import { type RowShare, shareRows } from "./row_share.ts";

/** Workgroups that are wanted, and most rows of one. */
const GROUPS = 256;
const MOST_ROWS = 32;

/** Sizes, and where the weights lie in their buffer. */
export interface StreamsShape {
  readonly subgroups: SubgroupFeatures;
  readonly streams: number; // A
  readonly hidden: number; // D
  /** What magnitudes are kept from dividing by. */
  readonly magnitudeEps: number;
  readonly normEps: number;
  /** Of all streams but the first, `[D, D]` each. */
  readonly projections: readonly MatrixPlace[];
  /** Quads before the weight of the last norm; 0 where there is none. */
  readonly norm: number;
}

/** How workgroups share the projections, whose outputs are `[A - 1, D]`. */
export function shareProjections(
  { projections, hidden }: StreamsShape,
): RowShare {
  const matrices = projections.map((matrix, i) => ({
    matrix,
    output: i * hidden,
  }));
  return shareRows(matrices, GROUPS, MOST_ROWS);
}
