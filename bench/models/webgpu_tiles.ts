// Tiles of products of many rows, of floats and of bytes, at the shapes of
// released models: multiply-adds of each, with K whole and in splits.
import type { MatmulTile } from "../../src/backends/webgpu/kernels/matmul_tiles/tile.ts";
import {
  chooseTiling,
  type Measured,
  TILES,
  type Tiling,
} from "../../src/backends/webgpu/kernels/matmul_tiles/tiling.ts";
import type { PackedTile } from "../../src/backends/webgpu/kernels/packed_tiles.ts";
import { PACKED_TILES } from "../../src/backends/webgpu/kernels/packed_tiles/tiles.ts";
import type { KernelBench, Product } from "./webgpu_kernels.ts";

/** A product of many rows. */
type ManyRows = Product & { readonly rows: number };

/** Rows of a chunk of a prompt. */
const CHUNK = 512;
/** Further products: of a longer chunk, of places of a picture and of frames of a clip. */
const MANY_ROWS: readonly ManyRows[] = [
  { name: "gate E2B", format: "q4", width: 2048, outputs: 8192, rows: 2048 },
  { name: "down E2B", format: "q4", width: 8192, outputs: 2048, rows: 2048 },
  { name: "picture", format: "q8", width: 640, outputs: 2560, rows: 2304 },
  { name: "picture", format: "q8", width: 2560, outputs: 640, rows: 2304 },
  { name: "picture", format: "q8", width: 1280, outputs: 2560, rows: 576 },
  { name: "clip", format: "q8", width: 1536, outputs: 6144, rows: 750 },
  { name: "clip", format: "q8", width: 6144, outputs: 1536, rows: 750 },
  { name: "clip", format: "q8", width: 1536, outputs: 1536, rows: 750 },
  { name: "picture", format: "q8", width: 2560, outputs: 1280, rows: 576 },
  { name: "clip", format: "q8", width: 1536, outputs: 3072, rows: 750 },
  { name: "LAuReL", format: "q8", width: 2048, outputs: 64, rows: 512 },
  { name: "LAuReL", format: "q8", width: 64, outputs: 2048, rows: 512 },
  { name: "per layer", format: "q8", width: 2048, outputs: 256, rows: 512 },
  { name: "per layer", format: "q8", width: 256, outputs: 2048, rows: 512 },
];

/** Splits of K to compare. */
const SPLITS = [1, 2, 3, 4, 5, 6, 8, 11, 16];
/** Elements of all splits at most. */
export const MAX_PARTIALS = 2 ** 23;

/** Tiles of one sort. */
interface Sort<T extends Measured<MatmulTile | PackedTile>> {
  readonly name: string;
  readonly tiles: readonly T[];
  seconds(shape: ManyRows, tiling: Tiling<T>): Promise<number>;
}

/** K in about so many splits of whole groups. */
function tilingOf<T extends MatmulTile | PackedTile>(
  tile: T,
  width: number,
  wanted: number,
): Tiling<T> {
  const groups = Math.ceil(width / 32);
  const span = Math.ceil(groups / wanted);
  return { tile, splits: Math.ceil(groups / span), span: 8 * span };
}

/** Prints a table of the tiles, for `products` of a chunk and for others. */
export async function benchTiles(
  bench: KernelBench,
  products: readonly Product[],
  tiny: boolean,
): Promise<void> {
  console.log(
    "TFLOP/s of each tile with K whole, then in the best number of splits; " +
      "the chosen one in brackets",
  );
  const floats: Sort<Measured<MatmulTile>> = {
    name: "floats",
    tiles: TILES,
    seconds: (shape, tiling) => bench.tiles(shape, shape.rows, tiling),
  };
  const bytes: Sort<Measured<PackedTile>> = {
    name: "bytes",
    tiles: PACKED_TILES,
    seconds: (shape, tiling) => bench.packedTiles(shape, shape.rows, tiling),
  };
  const ofChunk = products.filter(({ name }) => name !== "head")
    .map((product) => ({ ...product, rows: CHUNK }));
  for (const product of [...ofChunk, ...MANY_ROWS]) {
    const shape = tiny
      ? { ...product, outputs: 64, width: 256, rows: 64 }
      : product;
    await benchProduct(floats, shape, tiny ? 4 : 1);
    if (shape.format !== "f32") await benchProduct(bytes, shape, tiny ? 4 : 1);
  }
}

/** Prints a line, with so many digits. */
async function benchProduct<T extends Measured<MatmulTile | PackedTile>>(
  sort: Sort<T>,
  shape: ManyRows,
  digits: number,
): Promise<void> {
  const { name, rows, format, width, outputs } = shape;
  const chosen = chooseTiling(sort.tiles, rows, width, outputs);
  // The GPU sleeps while kernels are compiled: the first timing wakes it.
  await sort.seconds(shape, chosen);
  const rate = async (tiling: Tiling<T>) => {
    const seconds = await sort.seconds(shape, tiling);
    return 2 * rows * width * outputs / seconds / 1e12;
  };
  const cells: string[] = [];
  for (const tile of sort.tiles) {
    let best = 0;
    let text = "";
    for (const wanted of new Set([...SPLITS, chosen.splits])) {
      const tiling = tilingOf(tile, width, wanted);
      const { splits } = tiling;
      const fits = splits === 1 || splits * rows * outputs <= MAX_PARTIALS;
      if (splits !== wanted || !fits) continue;
      const found = await rate(tiling);
      const isChosen = tile === chosen.tile && splits === chosen.splits;
      if (splits === 1) text += found.toFixed(digits);
      if (isChosen) text += ` [${splits}:${found.toFixed(digits)}]`;
      if (found > best && splits > 1) {
        best = found;
        cells[sort.tiles.indexOf(tile)] = ` ${splits}:${found.toFixed(digits)}`;
      }
    }
    const i = sort.tiles.indexOf(tile);
    cells[i] = `${tile.rows} x ${tile.outputs} ${text}${cells[i] ?? ""}`;
  }
  console.log(
    `${name.padEnd(10)} ${rows} x ${width} x ${outputs} ${format} ${sort.name}`
      .padEnd(44) + cells.join(" | "),
  );
}
