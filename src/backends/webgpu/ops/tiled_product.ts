// Products of many rows, in tiles.
import type { Shape } from "../../../core/shape.ts";
import {
  type MatmulTilesOptions,
  matmulTilesWgsl,
} from "../kernels/matmul_tiles.ts";
import {
  chooseTiling,
  mostPartials,
  type Tiling,
} from "../kernels/matmul_tiles/tiling.ts";
import type { Recorder } from "../recorder.ts";
import { type Binding, F32_BYTES, type WebGpuTensor } from "../tensors.ts";
import type { WebGpuWeight, WeightPart } from "../weights.ts";
import { added } from "./chains.ts";

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

/** `x w^T` of so many rows, times `gelu(gate)` where there is a gate. */
export function tiledProduct(
  r: Recorder,
  rows: number,
  operands: ProductOperands,
): WebGpuTensor {
  const { weight, gates, shape } = operands;
  const { parts, rowSize: width } = weight;
  if (parts.length > 1) {
    const out = r.output(shape);
    for (const part of parts) {
      const tiling = chooseTiling(rows, width, part.rows, { maySplit: false });
      recordTiles(r, operands, { rows, part, tiling, gates, out });
    }
    return out;
  }
  const part = parts[0]!;
  const tiling = chooseTiling(rows, width, part.rows);
  const { splits } = tiling;
  // Shorter steps may need more than the longest, which is the one planned.
  const partials = r.planning
    ? mostPartials(rows, width, part.rows)
    : splits * rows * part.rows;
  if (splits === 1) {
    if (r.planning) r.room(partials * F32_BYTES);
    const out = r.output(shape);
    recordTiles(r, operands, { rows, part, tiling, gates, out });
    return out;
  }
  const record = () => {
    const out = r.room(partials * F32_BYTES);
    recordTiles(r, operands, { rows, part, tiling, gates: [], out });
    return out;
  };
  const steps = gates.map((other) => ({ name: "mulGelu", other } as const));
  return added(r, shape, { splits, record }, steps);
}

/** A product with one part of a weight. */
interface PartProduct {
  readonly rows: number;
  readonly part: WeightPart;
  readonly tiling: Tiling;
  readonly gates: readonly Binding[];
  readonly out: Binding;
}

function recordTiles(
  r: Recorder,
  operands: ProductOperands,
  { rows, part, tiling, gates, out }: PartProduct,
): void {
  const { format, rowSize: width, shape } = operands.weight;
  const { tile, splits, span } = tiling;
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
}

/** What every kernel of a product reads first. */
export function factors(
  { x, weight }: ProductOperands,
  { values, scales }: WeightPart,
): Binding[] {
  return weight.format === "f32" ? [x, values] : [x, values, scales];
}

const tilesCodes = new Map<string, string>();

/** The same string for the same kernel: it is the key of its pipelines. */
function tilesCode(options: MatmulTilesOptions): string {
  const { format, lanes, gated, tile } = options;
  const key = [format, lanes, gated, ...Object.values(tile)].join();
  let code = tilesCodes.get(key);
  if (code === undefined) {
    tilesCodes.set(key, code = matmulTilesWgsl(options));
  }
  return code;
}
