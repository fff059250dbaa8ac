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
/** Vectors of a part of it: a constant part needs no care to stay within bounds. */
export const PART = 16;
/** Vectors between rows of weights: one more keeps four rows in different banks. */
export const STRIDE = KEYS / 4 + 1;
const VALUE_KEYS = [8, 4];

/** Keys whose values, of so many vectors, pass at a time; 0 where not even four fit. */
export function valueKeys(vectors: number): number {
  return VALUE_KEYS.find((keys) => keys * vectors <= TILE) ?? 0;
}

/** A vector of the tile. */
export function tileAt(index: string): string {
  return `tile[(${index}) / ${PART}u][(${index}) % ${PART}u]`;
}

/** How threads divide the result, `[query, vector of four]`. */
export interface ResultShape {
  /** Threads along a head: 8, 16 or 32. */
  readonly columns: number;
  /** Threads along the queries. */
  readonly rows: number;
  /** Vectors of a thread in each of its rows, as far apart as there are threads. */
  readonly ownColumns: number;
  readonly ownRows: number;
}

/** Every thread has something where a head has as many vectors as threads. */
export function resultShape(vectors: number): ResultShape {
  const columns = [8, 16].find((n) => vectors <= n) ?? 32;
  const rows = THREADS / columns;
  const ownColumns = Math.ceil(vectors / columns);
  return { columns, rows, ownColumns, ownRows: ROWS / rows };
}

/** `count` numbers from 0 on. */
export function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
