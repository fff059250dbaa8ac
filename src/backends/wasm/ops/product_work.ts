// How a matrix product divides into chunks: blocks of rows, for each group of
// tiles of eight outputs.
import { CHUNK_COST, type Work } from "../recorder.ts";
import { TILE } from "../tensors.ts";

/** Rows of x that meet a tile of weights while it is in the cache. */
export const ROW_BLOCK = 64;
/** Fewest rows worth a pass over the weights. */
export const MIN_ROW_BLOCK = 16;
/** Tiles that lie together, as in rust/kernels/src/panel.rs: groups of tiles begin with one. */
const PAIR = 2;
/** Tiles that rows meet once they are laid side by side. */
const MIN_TILES = 8;
/** Work of a chunk of one row: small, because threads take several at a time. */
const ROW_CHUNK_COST = 5_000;
/** Work of a chunk that is not cut further: a millisecond or two. */
export const MAX_CHUNK_COST = 2_000_000;

/** Time in about a nanosecond. */
export interface ProductCosts {
  /** Of a multiply-add over several rows. */
  readonly multiplyAdd: number;
  /** Of a weight that is read for one row. */
  readonly stream: number;
}

/** A product's work. */
export interface ProductWork {
  /** Rows of a block. */
  readonly block: number;
  /** Tiles of a group. */
  readonly group: number;
  readonly work: Work;
}

/** Divides `rows` times `[outputs, k]`. */
export function divideProduct(
  rows: number,
  k: number,
  outputs: number,
  { multiplyAdd, stream }: ProductCosts,
): ProductWork {
  const tiles = Math.ceil(outputs / TILE);
  const tileCost = (block: number) =>
    TILE * k * Math.max(block * multiplyAdd, stream);
  let block = Math.max(1, Math.min(rows, ROW_BLOCK));
  while (
    block > MIN_ROW_BLOCK && tileCost(block) * MIN_TILES > MAX_CHUNK_COST
  ) {
    // Blocks begin where four rows do that lie side by side.
    block = Math.ceil(block / 8) * 4;
  }
  const most = (cost: number) =>
    Math.floor(cost / tileCost(block) / PAIR) * PAIR;
  const wanted = block > 1
    ? Math.max(MIN_TILES, most(CHUNK_COST))
    : even(tiles, Math.max(PAIR, most(ROW_CHUNK_COST)));
  const group = Math.max(1, Math.min(tiles, wanted));
  const work = {
    units: Math.ceil(rows / block) * Math.ceil(tiles / group),
    unitCost: tileCost(block) * group,
    unitsPerChunk: 1,
  };
  return { block, group, work };
}

/** The size of as many groups of one size, so that who has the last ends with the others. */
function even(tiles: number, most: number): number {
  const groups = Math.max(1, Math.ceil(tiles / most));
  return Math.ceil(tiles / groups / PAIR) * PAIR;
}
