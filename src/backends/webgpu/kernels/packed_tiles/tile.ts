// A tile of `matmul` for many rows of bytes.
import type { TileSizes } from "../matmul_tiles/tile.ts";

/** A tile of `packedTilesWgsl`. */
export interface PackedTile extends TileSizes {
  /** Groups of 32 along K that pass through workgroup memory together. */
  readonly groups: 1 | 2;
}

/** Eight vectors of neighbouring threads are those of four rows, or of two. */
export function swizzle({ groups }: PackedTile): number {
  return 4 / groups;
}
