// Which tiles a product of many rows is cut into. The kernels compute the same
// with all of them; the choice is by what they took on an H100.
import type { MatmulTile } from "./tile.ts";

/** Rows and outputs of a workgroup. */
interface Sizes {
  readonly rows: number;
  readonly outputs: number;
}

/** A tile, and how fast it is. */
export type Measured<T extends Sizes> = T & {
  /**
   * TFLOP/s of a GPU of {@link UNITS} with 1, 2, ... workgroups on each compute
   * unit, up to as many as it holds.
   */
  readonly rates: readonly number[];
};

/** 64 threads. All tiles fit into the 16 KB of workgroup memory that every GPU has. */
export const SMALL_TILE: Measured<MatmulTile> = {
  rows: 32,
  outputs: 32,
  threadRows: 4,
  threadOutputs: 4,
  depth: 8,
  rates: [8.7, 17, 18, 18.5, 19, 19.5, 20, 20.5],
};

/** 128 threads. */
export const MEDIUM_TILE: Measured<MatmulTile> = {
  rows: 64,
  outputs: 64,
  threadRows: 8,
  threadOutputs: 4,
  depth: 4,
  rates: [16, 27.5, 30.6, 33],
};

/** 128 threads. */
export const TALL_TILE: Measured<MatmulTile> = {
  rows: 128,
  outputs: 64,
  threadRows: 8,
  threadOutputs: 8,
  depth: 4,
  rates: [24.2, 32.7, 35, 36.5],
};

/** 256 threads. */
export const LARGE_TILE: Measured<MatmulTile> = {
  rows: 128,
  outputs: 128,
  threadRows: 8,
  threadOutputs: 8,
  depth: 4,
  rates: [36.5, 37],
};

/** Tiles of floats. */
export const TILES: readonly Measured<MatmulTile>[] = [
  LARGE_TILE,
  TALL_TILE,
  MEDIUM_TILE,
  SMALL_TILE,
];

/**
 * Compute units of a large GPU. WebGPU does not tell how many there are; with
 * fewer of them there are more workgroups for each, and less hangs on the choice.
 */
const UNITS = 132;
/** Microseconds from the start of workgroups until they multiply. */
const START_US = 2;
/** Microseconds of another dispatch. */
const DISPATCH_US = 5;
/** Partial sums written and read in a microsecond. */
const PARTIALS_PER_US = 3.5e5;

/** Most splits of K. */
const MAX_SPLITS = 16;
/** Elements along K of a group, which no split cuts, and the fewest of a split. */
const GROUP = 32;
const MIN_SPAN = 128;
/** Most partial sums: 32 MiB. */
const MAX_PARTIALS = 2 ** 23;

/** How a product of many rows is cut. */
export interface Tiling<T extends Sizes = MatmulTile> {
  readonly tile: T;
  /** Parts of K, each of workgroups of its own, whose sums are added at the end. */
  readonly splits: number;
  /** Vectors of four along K of a split. */
  readonly span: number;
}

/**
 * Which of `tiles`, and how many splits, take the least time by
 * {@link estimateUs} for `[rows, width]` times `[outputs, width]`.
 *
 * Tiles of floats, measured beside the largest tiles that fill the GPU with K whole: 512 x 8192 x
 * 2048 with 34 TFLOP/s instead of 28, 750 x 6144 x 1536 with 28 instead of 16,
 * 512 x 2048 x 64 in 11 us instead of 59.
 */
export function chooseTiling<T extends Measured<Sizes>>(
  tiles: readonly T[],
  rows: number,
  width: number,
  outputs: number,
  { maySplit = true }: { readonly maySplit?: boolean } = {},
): Tiling<T> {
  const groups = Math.max(1, Math.ceil(width / GROUP));
  const most = maySplit ? mostSplits(rows, width, outputs) : 1;
  let best: Tiling<T> | undefined;
  let least = Infinity;
  for (let wanted = 1; wanted <= most; wanted++) {
    const span = Math.ceil(groups / wanted);
    const splits = Math.ceil(groups / span);
    if (splits < wanted) continue; // seen with a smaller number
    for (const tile of tiles) {
      const tiling = { tile, splits, span: span * GROUP / 4 };
      const us = estimateUs(tile, tiling, rows, outputs);
      if (us < least) {
        least = us;
        best = tiling;
      }
    }
  }
  return best!;
}

/** Partial sums that a product of so many rows, or of fewer, may need. */
export function mostPartials(
  rows: number,
  width: number,
  outputs: number,
): number {
  const splits = Math.min(MAX_SPLITS, Math.floor(width / MIN_SPAN));
  return splits < 2 ? 0 : Math.min(MAX_PARTIALS, splits * rows * outputs);
}

function mostSplits(rows: number, width: number, outputs: number): number {
  const splits = Math.min(
    MAX_SPLITS,
    Math.floor(width / MIN_SPAN),
    Math.floor(MAX_PARTIALS / (rows * outputs)),
  );
  return Math.max(1, splits);
}

/**
 * Microseconds on an H100: rounds of as many workgroups as there is room for,
 * and one of the rest, evenly spread.
 */
function estimateUs(
  { rates, ...tile }: Measured<Sizes>,
  { splits, span }: Pick<Tiling, "splits" | "span">,
  rows: number,
  outputs: number,
): number {
  const workgroups = splits * Math.ceil(rows / tile.rows) *
    Math.ceil(outputs / tile.outputs);
  const operations = 2 * tile.rows * tile.outputs * 4 * span;
  const roundUs = (together: number) =>
    START_US + UNITS * together * operations / (1e6 * rates[together - 1]!);
  const room = UNITS * rates.length;
  const rest = Math.ceil(workgroups % room / UNITS);
  const us = Math.floor(workgroups / room) * roundUs(rates.length) +
    (rest > 0 ? roundUs(rest) : 0);
  if (splits === 1) return us;
  return us + DISPATCH_US + splits * rows * outputs / PARTIALS_PER_US;
}
