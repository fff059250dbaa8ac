// Tiles of `matmul` for many rows of bytes, and how fast they are on an H100.
import type { Measured } from "../matmul_tiles/tiling.ts";
import type { PackedTile } from "./tile.ts";

/** 256 threads. */
export const LARGE_PACKED: Measured<PackedTile> = {
  rows: 128,
  outputs: 128,
  threadRows: 8,
  threadOutputs: 8,
  groups: 2,
  rates: [72, 74, 76, 77],
};

/** 128 threads. */
export const MEDIUM_PACKED: Measured<PackedTile> = {
  rows: 64,
  outputs: 64,
  threadRows: 4,
  threadOutputs: 8,
  groups: 2,
  rates: [43, 62, 66, 68, 70, 72, 74, 76],
};

/** 64 threads. */
export const SMALL_PACKED: Measured<PackedTile> = {
  rows: 32,
  outputs: 32,
  threadRows: 4,
  threadOutputs: 4,
  groups: 2,
  rates: [15, 28, 34, 40, 42, 44, 45, 48, 50, 51, 52],
};

/** All of them fit into the 16 KB of workgroup memory that every GPU has. */
export const PACKED_TILES: readonly Measured<PackedTile>[] = [
  LARGE_PACKED,
  MEDIUM_PACKED,
  SMALL_PACKED,
];
