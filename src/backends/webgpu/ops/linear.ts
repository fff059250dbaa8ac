// Matrix products. The WebGPU device multiplies dequantised weights by f32
// activations: unlike the CPU devices it rounds no activation to bytes, so its
// quantised products are those of the reference but for the order of sums.
import type { WeightFormat } from "../../../core/dtype.ts";
import { numel, type Shape } from "../../../core/shape.ts";
import type { Ops, Tensor, Weight } from "../../../ops/ops.ts";
import { shapes } from "../../../ops/shapes.ts";
import { addSplitsWgsl } from "../kernels/add_splits.ts";
import {
  MATMUL_ROWS,
  type MatmulRowsOptions,
  matmulRowsWgsl,
} from "../kernels/matmul_rows.ts";
import {
  type MatmulTilesOptions,
  matmulTilesWgsl,
} from "../kernels/matmul_tiles.ts";
import { chooseTiling, mostPartials } from "../kernels/matmul_tiles/tiling.ts";
import type { SubgroupFeatures } from "../features.ts";
import { elementGrid, grid, type Recorder } from "../recorder.ts";
import { type Binding, F32_BYTES, type WebGpuTensor } from "../tensors.ts";
import type { WebGpuWeight, WeightPart } from "../weights.ts";

/** For products of many rows, which use no subgroups. */
export const PLAIN_LINEAR: SubgroupFeatures = {
  subgroupSize: 0,
  enablesSubgroups: false,
  packedDots: false,
};

/** Outputs of a workgroup of few rows, and with one row where a matrix has few or many elements. */
const FEW_ROWS_OUTPUTS = 4;
const SMALL_OUTPUTS = 2;
const LARGE_OUTPUTS = 8;
const SMALL_MATRIX = 2 ** 22;
const LARGE_MATRIX = 2 ** 27;
/** Threads of a workgroup of few rows. */
const MIN_THREADS = 32;
const MAX_THREADS = 256;
/** Words of each output that a thread should read at least. */
const WORDS_PER_THREAD = 4;

/** Matrix products. */
export function linearOps(
  r: Recorder,
  subgroups: SubgroupFeatures,
): Pick<Ops, "matmul" | "gatedMatmul"> {
  return {
    matmul(x, w) {
      const shape = shapes.matmul(x, w);
      return multiply(r, subgroups, { op: "matmul", x, w, shape });
    },
    gatedMatmul(x, w, gate) {
      const shape = shapes.gatedMatmul(x, w, gate);
      return multiply(r, subgroups, { op: "gatedMatmul", x, w, shape, gate });
    },
  };
}

/** A product to record. */
interface Product {
  readonly op: string;
  readonly x: Tensor;
  readonly w: Weight;
  readonly shape: Shape;
  readonly gate?: Tensor;
}

function multiply(
  r: Recorder,
  subgroups: SubgroupFeatures,
  { op, x, w, shape, gate }: Product,
): WebGpuTensor {
  const weight = r.ownWeight(op, w, "matrix");
  const own = r.own(x);
  const gates = gate ? [r.own(gate)] : [];
  const out = r.output(shape);
  recordProduct(r, subgroups, { x: own, weight, gates, out });
  return out;
}

/** Operands of {@link recordProduct}. */
export interface ProductOperands {
  /** `[..., K]`. */
  readonly x: WebGpuTensor;
  /** `[F, K]`, or a `conv2d` of one place. */
  readonly weight: WebGpuWeight;
  /** One `[..., F]`, or none. */
  readonly gates: readonly WebGpuTensor[];
  /** `[..., F]`. */
  readonly out: WebGpuTensor;
}

/** Records `x w^T`, times `gelu(gate)` where there is a gate. */
export function recordProduct(
  r: Recorder,
  subgroups: SubgroupFeatures,
  { x, weight, gates, out }: ProductOperands,
): void {
  const width = weight.rowSize;
  const outputs = weight.shape[0]!;
  const rows = outputs === 0 ? 0 : numel(out.shape) / outputs;
  if (rows === 0) return;
  for (const part of weight.parts) {
    const product = { rows, width, part, x, weight, gates, out };
    if (rows <= MATMUL_ROWS && width > 0) recordRows(r, subgroups, product);
    else recordTiles(r, product);
  }
}

/** A product with one part of a weight. */
interface PartProduct extends ProductOperands {
  readonly rows: number;
  readonly width: number;
  readonly part: WeightPart;
}

function recordRows(
  r: Recorder,
  subgroups: SubgroupFeatures,
  { rows, width, part, x, weight, gates, out }: PartProduct,
): void {
  const outputs = outputsFor(weight.format, rows, part.rows * width);
  r.dispatch({
    code: rowsCode({
      format: weight.format,
      width,
      rows,
      outputs,
      gated: gates.length > 0,
      ...threadsFor(weight, subgroups),
    }),
    constants: {
      FIRST: part.firstRow,
      PART: part.rows,
      OUTPUTS: weight.shape[0]!,
    },
    reads: [...factors(x, weight, part), ...gates],
    writes: [out],
    workgroups: grid(Math.ceil(part.rows / outputs)),
    cost: rows * part.rows * width,
  });
}

function recordTiles(
  r: Recorder,
  { rows, width, part, x, weight, gates, out }: PartProduct,
): void {
  const outputs = weight.shape[0]!;
  const { tile, splits, span } = chooseTiling(rows, width, part.rows);
  const isSplit = splits > 1;
  const isGated = gates.length > 0;
  const dispatch = {
    label: `tiles ${weight.format} ${tile.rows} x ${tile.outputs}`,
    code: tilesCode({
      format: weight.format,
      lanes: width % 4 === 0 ? 4 : 1,
      gated: isGated && !isSplit,
      tile,
    }),
    workgroups: [
      Math.ceil(part.rows / tile.outputs),
      Math.ceil(rows / tile.rows),
      splits,
    ],
    cost: rows * part.rows * width,
  } as const;
  const reads = factors(x, weight, part);
  if (r.planning) {
    // Shorter steps may need more than the longest, which is the one planned.
    r.room(mostPartials(rows, width, part.rows) * F32_BYTES);
  }
  if (!isSplit) {
    r.dispatch({
      ...dispatch,
      reads: [...reads, ...gates],
      writes: [out],
      params: [rows, width, part.firstRow, part.rows, outputs, span],
    });
    return;
  }
  const room = r.room(splits * rows * part.rows * F32_BYTES);
  r.dispatch({
    ...dispatch,
    reads,
    writes: [room],
    params: [rows, width, 0, part.rows, part.rows, span],
  });
  r.dispatch({
    label: "addSplits",
    code: ADD_SPLITS[isGated ? "gated" : "plain"],
    reads: [room, ...gates],
    writes: [out],
    params: [rows * part.rows, splits, part.firstRow, part.rows, outputs],
    workgroups: elementGrid(rows * part.rows),
  });
}

function factors(
  x: WebGpuTensor,
  { format }: WebGpuWeight,
  { values, scales }: WeightPart,
): Binding[] {
  return format === "f32" ? [x, values] : [x, values, scales];
}

const ADD_SPLITS = { plain: addSplitsWgsl(false), gated: addSplitsWgsl(true) };

/**
 * Outputs of a workgroup, which share what is read of x: few where there are few
 * in all, since a large GPU wants many workgroups.
 */
function outputsFor(
  format: WeightFormat,
  rows: number,
  elements: number,
): number {
  if (rows > 1) return FEW_ROWS_OUTPUTS;
  if (elements <= SMALL_MATRIX) return SMALL_OUTPUTS;
  return format === "q8" && elements >= LARGE_MATRIX
    ? LARGE_OUTPUTS
    : FEW_ROWS_OUTPUTS;
}

/** A workgroup whose threads have a few words each, in whole subgroups. */
function threadsFor(
  { format, rowSize }: WebGpuWeight,
  { subgroupSize, enablesSubgroups }: SubgroupFeatures,
): Pick<MatmulRowsOptions, "threads" | "subgroupSize" | "enablesSubgroups"> {
  const words = rowSize / (format === "q4" ? 8 : 4);
  let threads = MIN_THREADS;
  while (threads < MAX_THREADS && threads * WORDS_PER_THREAD < words) {
    threads *= 2;
  }
  const fits = subgroupSize > 0 && threads % subgroupSize === 0;
  return { threads, subgroupSize: fits ? subgroupSize : 0, enablesSubgroups };
}

const rowsCodes = new Map<string, string>();

/** The same string for the same kernel: it is the key of its pipelines. */
function rowsCode(options: MatmulRowsOptions): string {
  const key = Object.values(options).join();
  let code = rowsCodes.get(key);
  if (code === undefined) {
    rowsCodes.set(key, code = matmulRowsWgsl(options));
  }
  return code;
}

const tilesCodes = new Map<string, string>();

function tilesCode(options: MatmulTilesOptions): string {
  const { format, lanes, gated, tile } = options;
  const key = [format, lanes, gated, ...Object.values(tile)].join();
  let code = tilesCodes.get(key);
  if (code === undefined) {
    tilesCodes.set(key, code = matmulTilesWgsl(options));
  }
  return code;
}
