// Sizes of the tiles of `attention` of many rows.

/** Queries, one of a head and a row each, that share a workgroup. */
export const ROWS = 32;
/** Keys whose scores exist at a time. */
export const KEYS = 32;
/** Threads of a workgroup. */
export const THREADS = 128;
/** Vectors of four of a head that are multiplied in a step. */
export const DEPTH = 8;
/** Vectors of the memory that queries and keys, then values pass through. */
export const TILE = DEPTH * (ROWS + KEYS);
/** Vectors between rows of weights: one more keeps four rows in different banks. */
export const STRIDE = KEYS / 4 + 1;
/** Threads along a head in the result. */
export const COLUMNS = 32;
/** Rows of each of them. */
export const OWN_ROWS = ROWS / (THREADS / COLUMNS);

const VALUE_KEYS = [8, 4];

/** Keys whose values, of so many vectors, pass at a time; 0 where not even four fit. */
export function valueKeys(vectors: number): number {
  return VALUE_KEYS.find((keys) => keys * vectors <= TILE) ?? 0;
}

/** Vectors of the result that a thread has of each row. */
export function ownColumns(vectors: number): number {
  return Math.ceil(vectors / COLUMNS);
}

/** `count` numbers from 0 on. */
export function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
