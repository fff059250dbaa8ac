// Products of many rows, in tiles: of floats, or of bytes where the weights are
// quantised and the GPU multiplies bytes faster.
import type { Shape } from "../../../core/shape.ts";
import type { MatmulTile } from "../kernels/matmul_tiles/tile.ts";
import {
  type MatmulTilesOptions,
  matmulTilesWgsl,
} from "../kernels/matmul_tiles.ts";
import { mostPartials, TILES } from "../kernels/matmul_tiles/tiling.ts";
import type { Recorder } from "../recorder.ts";
import { type Binding, F32_BYTES, type WebGpuTensor } from "../tensors.ts";
import type { WebGpuWeight, WeightPart } from "../weights.ts";
import { added } from "./chains.ts";
import { cutPacked } from "./packed_product.ts";
import { PartTilings } from "./part_tiling.ts";

/** Operands of a product. */
export interface ProductOperands {
  /** `[..., K]`. */
  readonly x: WebGpuTensor;
  /** `[F, K]`, or a `conv2d` of one place. */
  readonly weight: WebGpuWeight;
  /** One `[..., F]`, or none. */
  readonly gates: readonly WebGpuTensor[];
  /** `[..., F]`. */
  readonly shape: Shape;
}

/** How a product with one part of a weight is cut into tiles. */
export interface CutProduct {
  /** Parts of K, whose sums are to be added. */
  readonly splits: number;
  /** Records it: `[splits, ..., F]`, multiplied by a gate only where K is whole. */
  record(gates: readonly Binding[], out: Binding): void;
}

/** `x w^T` of so many rows, times `gelu(gate)` where there is a gate. */
export function tiledProduct(
  r: Recorder,
  rows: number,
  operands: ProductOperands,
  packedDots: boolean,
): WebGpuTensor {
  const { weight, gates, shape } = operands;
  const { parts, rowSize: width, format } = weight;
  const cut = (part: WeightPart, maySplit: boolean) =>
    packedDots && format !== "f32" && width > 0
      ? cutPacked(r, rows, operands, { part, format, maySplit })
      : cutFloats(r, rows, operands, { part, maySplit });
  if (parts.length > 1) {
    const out = r.output(shape);
    for (const part of parts) cut(part, false).record(gates, out);
    return out;
  }
  const part = parts[0]!;
  const { splits, record } = cut(part, true);
  // Shorter steps may need more than the longest, which is the one planned.
  const partials = r.planning
    ? mostPartials(rows, width, part.rows)
    : splits * rows * part.rows;
  if (splits === 1) {
    if (r.planning) r.room(partials * F32_BYTES);
    const out = r.output(shape);
    record(gates, out);
    return out;
  }
  const recordParts = () => {
    const out = r.room(partials * F32_BYTES);
    record([], out);
    return out;
  };
  const steps = gates.map((other) => ({ name: "mulGelu", other } as const));
  return added(r, shape, { splits, record: recordParts }, steps);
}

const tilings = new PartTilings(TILES);

function cutFloats(
  r: Recorder,
  rows: number,
  operands: ProductOperands,
  { part, maySplit }: {
    readonly part: WeightPart;
    readonly maySplit: boolean;
  },
): CutProduct {
  const { format, rowSize: width, shape } = operands.weight;
  const { tile, splits, span } = tilings.choose(part, rows, width, maySplit);
  const record = (gates: readonly Binding[], out: Binding) =>
    r.dispatch({
      label: `tiles ${format} ${tile.rows} x ${tile.outputs}`,
      code: tilesCode({
        format,
        lanes: width % 4 === 0 ? 4 : 1,
        gated: gates.length > 0,
        tile,
      }),
      reads: [...factors(operands, part), ...gates],
      writes: [out],
      params: [rows, width, part.firstRow, part.rows, shape[0]!, span],
      workgroups: [
        Math.ceil(part.rows / tile.outputs),
        Math.ceil(rows / tile.rows),
        splits,
      ],
      cost: rows * part.rows * width,
    });
  return { splits, record };
}

/** What every kernel of a product reads first. */
export function factors(
  { x, weight }: ProductOperands,
  { values, scales }: WeightPart,
): Binding[] {
  return weight.format === "f32" ? [x, values] : [x, values, scales];
}

const codes = new Map<MatmulTile, Map<string, string>>();

/** The same string for the same kernel: it is the key of its pipelines. */
function tilesCode(options: MatmulTilesOptions): string {
  const { format, lanes, gated, tile } = options;
  let ofTile = codes.get(tile);
  if (ofTile === undefined) codes.set(tile, ofTile = new Map());
  const key = `${format} ${lanes} ${gated}`;
  let code = ofTile.get(key);
  if (code === undefined) ofTile.set(key, code = matmulTilesWgsl(options));
  return code;
}
