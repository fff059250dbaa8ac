// Products of many rows with quantised weights, which meet rows of bytes.
import type { WeightFormat } from "../../../core/dtype.ts";
import { numel } from "../../../core/shape.ts";
import { align } from "../flags.ts";
import {
  type PackedTile,
  type PackedTilesOptions,
  packedTilesWgsl,
} from "../kernels/packed_tiles.ts";
import { PACKED_TILES } from "../kernels/packed_tiles/tiles.ts";
import { ROUND_THREADS, roundRowsWgsl } from "../kernels/round_rows.ts";
import { grid, type Recorder } from "../recorder.ts";
import {
  type Binding,
  F32_BYTES,
  type StepBuffer,
  type WebGpuTensor,
} from "../tensors.ts";
import { GROUP } from "../weight_layout.ts";
import type { WeightPart } from "../weights.ts";
import { PartTilings } from "./part_tiling.ts";
import type { CutProduct, ProductOperands } from "./tiled_product.ts";

const tilings = new PartTilings(PACKED_TILES);

/** Cuts a product of so many rows with a part of a weight. */
export function cutPacked(
  r: Recorder,
  rows: number,
  { x, weight }: ProductOperands,
  { part, format, maySplit }: {
    readonly part: WeightPart;
    readonly format: Exclude<WeightFormat, "f32">;
    readonly maySplit: boolean;
  },
): CutProduct {
  const { rowSize: width, shape } = weight;
  const { tile, splits, span } = tilings.choose(part, rows, width, maySplit);
  const record = (gates: readonly Binding[], out: Binding) => {
    r.dispatch({
      label: `tiles ${format} ${tile.rows} x ${tile.outputs} of bytes`,
      code: tilesCode({ format, gated: gates.length > 0, tile }),
      reads: [...rounded(r, x, width), part.values, part.scales, ...gates],
      writes: [out],
      params: [
        rows,
        width / GROUP,
        part.firstRow,
        part.rows,
        shape[0]!,
        span / (GROUP / 4),
      ],
      workgroups: [
        Math.ceil(part.rows / tile.outputs),
        Math.ceil(rows / tile.rows),
        splits,
      ],
      cost: rows * part.rows * width,
    });
  };
  return { splits, record };
}

/** The rows of x as bytes, and the scales of their groups: once for all weights they meet. */
function rounded(
  r: Recorder,
  x: WebGpuTensor,
  width: number,
): [WebGpuTensor, WebGpuTensor] {
  const size = numel(x.shape);
  const groups = width / GROUP;
  const rows = size / width;
  const words = size / F32_BYTES;
  const scalesAt = align(size);
  const views = (buffer: StepBuffer): [WebGpuTensor, WebGpuTensor] => [
    r.tensor(buffer, [words]),
    r.tensor(buffer, [rows * groups], scalesAt),
  ];
  const buffer = r.once("bytes", x, () => {
    const buffer = r.room(scalesAt + rows * groups * F32_BYTES);
    r.dispatch({
      label: "roundRows",
      code: roundRowsWgsl,
      reads: [x],
      writes: views(buffer),
      params: [rows, groups],
      workgroups: grid(Math.ceil(rows * groups / ROUND_THREADS)),
    });
    return buffer;
  });
  return views(buffer);
}

const codes = new Map<PackedTile, Map<string, string>>();

/** The same string for the same kernel: it is the key of its pipelines. */
function tilesCode(options: PackedTilesOptions): string {
  const { format, gated, tile } = options;
  let ofTile = codes.get(tile);
  if (ofTile === undefined) codes.set(tile, ofTile = new Map());
  const key = `${format} ${gated}`;
  let code = ofTile.get(key);
  if (code === undefined) ofTile.set(key, code = packedTilesWgsl(options));
  return code;
}
