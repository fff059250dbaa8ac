// A tile of `matmul` for many rows of bytes.

/** Rows and outputs of a workgroup of `packedTilesWgsl`, and of each of its threads. */
export interface PackedTile {
  readonly rows: number;
  readonly outputs: number;
  readonly threadRows: number;
  readonly threadOutputs: number;
  /** Groups of 32 along K that pass through workgroup memory together. */
  readonly groups: 1 | 2;
}

/** Threads of a workgroup. */
export function packedThreads(
  { rows, outputs, threadRows, threadOutputs }: PackedTile,
): number {
  return rows / threadRows * (outputs / threadOutputs);
}

/** Eight vectors of neighbouring threads are those of four rows, or of two. */
export function swizzle({ groups }: PackedTile): number {
  return 4 / groups;
}
