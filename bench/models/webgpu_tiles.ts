// Tiles of products of many rows, at the shapes of released models: multiply-adds
// of each tile, and of the chosen one with K in several splits.
import type { MatmulTile } from "../../src/backends/webgpu/kernels/matmul_tiles/tile.ts";
import {
  chooseTiling,
  LARGE_TILE,
  MEDIUM_TILE,
  SMALL_TILE,
  TALL_TILE,
  type Tiling,
} from "../../src/backends/webgpu/kernels/matmul_tiles/tiling.ts";
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

/** Tiles to compare: those in use first. */
const TILES: readonly MatmulTile[] = [
  SMALL_TILE,
  MEDIUM_TILE,
  TALL_TILE,
  LARGE_TILE,
  { rows: 64, outputs: 64, threadRows: 4, threadOutputs: 4, depth: 8 },
  { rows: 64, outputs: 64, threadRows: 8, threadOutputs: 4, depth: 8 },
  { rows: 64, outputs: 128, threadRows: 8, threadOutputs: 8, depth: 4 },
  { rows: 128, outputs: 128, threadRows: 16, threadOutputs: 8, depth: 4 },
  { rows: 128, outputs: 128, threadRows: 8, threadOutputs: 16, depth: 4 },
];
/** Splits of K to compare. */
const SPLITS = [1, 2, 3, 4, 8, 16];
/** Elements of all splits at most. */
export const MAX_PARTIALS = 2 ** 23;

function spellTile(tile: MatmulTile): string {
  const { rows, outputs, threadRows, threadOutputs, depth } = tile;
  return `tile ${rows} x ${outputs}, ${threadRows} x ${threadOutputs} a thread, k ${
    4 * depth
  }`;
}

/** K in about so many splits of whole groups. */
function tilingOf(tile: MatmulTile, width: number, wanted: number): Tiling {
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
    "TFLOP/s of tiles, K not split; then of the chosen tile with K in as many splits; " +
      "the chosen one in brackets",
  );
  TILES.forEach((tile, i) => console.log(`  ${i}: ${spellTile(tile)}`));
  const ofChunk = products.filter(({ name }) => name !== "head")
    .map((product) => ({ ...product, rows: CHUNK }));
  for (const product of [...ofChunk, ...MANY_ROWS]) {
    const shape = tiny
      ? { ...product, outputs: 64, width: 256, rows: 64 }
      : product;
    await benchProduct(bench, shape, tiny ? 4 : 1);
  }
}

/** Prints a line, with so many digits. */
async function benchProduct(
  bench: KernelBench,
  shape: ManyRows,
  digits: number,
): Promise<void> {
  const { name, rows, format, width, outputs } = shape;
  const chosen = chooseTiling(rows, width, outputs);
  // The GPU sleeps while kernels are compiled: the first timing wakes it.
  await bench.tiles(shape, rows, chosen);
  const rate = async (tiling: Tiling) => {
    const seconds = await bench.tiles(shape, rows, tiling);
    const text = (2 * rows * width * outputs / seconds / 1e12)
      .toFixed(digits);
    const { tile, splits } = tiling;
    const isChosen = tile === chosen.tile && splits === chosen.splits;
    return (isChosen ? `[${text}]` : text).padStart(7);
  };
  const rates: string[] = [];
  for (const tile of TILES) {
    rates.push(await rate(tilingOf(tile, width, 1)));
  }
  for (const splits of new Set([...SPLITS, chosen.splits])) {
    const tiling = tilingOf(chosen.tile, width, splits);
    const fits = splits * rows * outputs <= MAX_PARTIALS;
    if (splits > 1 && tiling.splits === splits && fits) {
      rates.push(`${splits}:${(await rate(tiling)).trim()}`);
    }
  }
  console.log(
    `${name.padEnd(10)} ${rows} x ${width} x ${outputs} ${format}`.padEnd(
      36,
    ) +
      rates.join(" "),
  );
}
