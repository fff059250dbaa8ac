// What the kernels before and after the layers are made for.
import type { SubgroupFeatures } from "../../features.ts";
import type { MatrixPlace } from "./layer_shape.ts";
import { type RowShare, type SharedMatrix, shareRows } from "./row_share.ts";

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
}

/** How workgroups share the projections, whose outputs are `[A - 1, D]`, and further ones. */
export function shareProjections(
  { projections, hidden }: StreamsShape,
  first = 0,
  further: readonly SharedMatrix[] = [],
): RowShare {
  const matrices = projections.map((matrix, i) => ({
    matrix,
    output: first + i * hidden,
  }));
  return shareRows([...matrices, ...further], GROUPS, MOST_ROWS);
}
