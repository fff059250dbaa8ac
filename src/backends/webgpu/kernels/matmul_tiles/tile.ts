// A tile of `matmul` for many rows: what a workgroup has, and how it lies in
// workgroup memory.

/** Rows and outputs of a workgroup, and of each of its threads. */
export interface TileSizes {
  readonly rows: number;
  readonly outputs: number;
  readonly threadRows: number;
  readonly threadOutputs: number;
}

/** A tile of `matmulTilesWgsl`. */
export interface MatmulTile extends TileSizes {
  /** Vectors of four along K that pass through workgroup memory together. */
  readonly depth: 4 | 8;
}

/** Threads of a workgroup. */
export function tileThreads(
  { rows, outputs, threadRows, threadOutputs }: TileSizes,
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
