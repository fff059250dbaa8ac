// How products with a weight were cut last: prompts come in chunks of as many
// rows, and to choose takes longer than to record.
import {
  chooseTiling,
  type Measured,
  type Tiling,
} from "../kernels/matmul_tiles/tiling.ts";
import type { WeightPart } from "../weights.ts";

/** Rows and outputs of a workgroup. */
type Sizes = Measured<{ readonly rows: number; readonly outputs: number }>;

/** Cuts products with tiles of one sort. */
export class PartTilings<T extends Sizes> {
  private readonly tiles: readonly T[];
  private readonly known = new WeakMap<
    WeightPart,
    { readonly rows: number; readonly tiling: Tiling<T> }
  >();

  constructor(tiles: readonly T[]) {
    this.tiles = tiles;
  }

  /** Of so many rows with a part of a weight; whether K may be split is always the same for a part. */
  choose(
    part: WeightPart,
    rows: number,
    width: number,
    maySplit: boolean,
  ): Tiling<T> {
    const known = this.known.get(part);
    if (known?.rows === rows) return known.tiling;
    const tiling = chooseTiling(this.tiles, rows, width, part.rows, {
      maySplit,
    });
    this.known.set(part, { rows, tiling });
    return tiling;
  }
}
