// Tiles of `matmul` for many rows: what a workgroup has, and how it lies in
// workgroup memory.

/** Rows and outputs of a workgroup of `matmulTilesWgsl`, and of each of its threads. */
export interface MatmulTile {
  readonly rows: number;
  readonly outputs: number;
  readonly threadRows: number;
  readonly threadOutputs: number;
  /** Vectors of four along K that pass through workgroup memory together. */
  readonly depth: 4 | 8;
}

/** 64 threads. All tiles fit into the 16 KB of workgroup memory that every GPU has. */
export const SMALL_TILE: MatmulTile = {
  rows: 32,
  outputs: 32,
  threadRows: 4,
  threadOutputs: 4,
  depth: 8,
};

/** 128 threads. */
export const MEDIUM_TILE: MatmulTile = {
  rows: 64,
  outputs: 64,
  threadRows: 8,
  threadOutputs: 4,
  depth: 8,
};

/** 256 threads. */
export const LARGE_TILE: MatmulTile = {
  rows: 128,
  outputs: 128,
  threadRows: 8,
  threadOutputs: 8,
  depth: 4,
};

/** Larger tiles read less, if there are so many that a large GPU is busy. */
const TILES = [
  { tile: LARGE_TILE, wanted: 256 },
  { tile: MEDIUM_TILE, wanted: 128 },
] as const;
/** Results that a larger tile may compute in vain, of those of small ones. */
const MAX_WASTE = 1.25;

/** The largest tile that rows and outputs fill, and of which there are enough. */
export function chooseTile(rows: number, outputs: number): MatmulTile {
  const groups = (tile: MatmulTile) =>
    Math.ceil(rows / tile.rows) * Math.ceil(outputs / tile.outputs);
  const computed = (tile: MatmulTile) =>
    groups(tile) * tile.rows * tile.outputs;
  const fitting = TILES.find(({ tile, wanted }) =>
    groups(tile) >= wanted &&
    computed(tile) <= MAX_WASTE * computed(SMALL_TILE)
  );
  return fitting?.tile ?? SMALL_TILE;
}

/** Threads of a workgroup. */
export function tileThreads(
  { rows, outputs, threadRows, threadOutputs }: MatmulTile,
): number {
  return rows / threadRows * (outputs / threadOutputs);
}

/** Vectors `[d, own, thread]` of rows of which each thread has `own`. */
export function tileType(depth: number, rows: number, own: number): string {
  return `array<array<array<vec4f, ${rows / own}>, ${own}>, ${depth}>`;
}

/** Eight vectors of neighbouring threads are those of one row, or of two. */
export function swizzle(depth: 4 | 8): number {
  return 8 / depth;
}

/** `count` numbers from 0 on. */
export function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
