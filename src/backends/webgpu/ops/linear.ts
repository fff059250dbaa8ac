// Matrix products. Few rows of f32 meet dequantised weights; many rows meet
// quantised weights as bytes, as on CPUs, where the GPU multiplies these faster.
import type { WeightFormat } from "../../../core/dtype.ts";
import { numel, type Shape } from "../../../core/shape.ts";
import type { Ops, Tensor, Weight } from "../../../ops/ops.ts";
import { shapes } from "../../../ops/shapes.ts";
import {
  MATMUL_ROWS,
  type MatmulRowsOptions,
  matmulRowsWgsl,
} from "../kernels/matmul_rows.ts";
import type { SubgroupFeatures } from "../features.ts";
import { grid, type Recorder } from "../recorder.ts";
import type { WebGpuTensor } from "../tensors.ts";
import type { WebGpuWeight, WeightPart } from "../weights.ts";
import { addNumbers, type ChainStep, ending } from "./chains.ts";
import {
  factors,
  type ProductOperands,
  tiledProduct,
} from "./tiled_product.ts";

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
  return product(r, subgroups, { x: own, weight, gates, shape });
}

/** `x w^T`, times `gelu(gate)` where there is a gate. */
export function product(
  r: Recorder,
  subgroups: SubgroupFeatures,
  operands: ProductOperands,
): WebGpuTensor {
  const { weight, gates, shape } = operands;
  const outputs = weight.shape[0]!;
  const rows = outputs === 0 ? 0 : numel(shape) / outputs;
  if (rows === 0) return r.output(shape);
  if (rows > MATMUL_ROWS || weight.rowSize === 0) {
    return tiledProduct(r, rows, operands, subgroups.packedDots);
  }
  const record = (steps: readonly ChainStep[]) => {
    const out = r.output(shape);
    for (const part of weight.parts) {
      recordRows(r, subgroups, { rows, part, operands, steps, out });
    }
    return out;
  };
  const steps = gates.map((other) => ({ name: "mulGelu", other } as const));
  return ending(r, shape, record, steps);
}

function recordRows(
  r: Recorder,
  subgroups: SubgroupFeatures,
  { rows, part, operands, steps, out }: {
    readonly rows: number;
    readonly part: WeightPart;
    readonly operands: ProductOperands;
    readonly steps: readonly ChainStep[];
    readonly out: WebGpuTensor;
  },
): void {
  const { weight } = operands;
  const { rowSize: width, format } = weight;
  const outputs = outputsFor(format, rows, part.rows * width);
  const names = steps.map(({ name }) => name);
  const others = steps.flatMap(({ other }) => other ? [other] : []);
  const numbers: Record<string, number> = {};
  addNumbers(numbers, "after", steps);
  r.dispatch({
    label: ["matmul", ...names].join(" "),
    code: rowsCode({
      format,
      width,
      rows,
      outputs,
      after: names,
      ...threadsFor(weight, subgroups),
    }),
    constants: {
      ...numbers,
      FIRST: part.firstRow,
      PART: part.rows,
      OUTPUTS: weight.shape[0]!,
    },
    reads: [...factors(operands, part), ...others],
    writes: [out],
    workgroups: grid(Math.ceil(part.rows / outputs)),
    cost: rows * part.rows * width,
  });
}

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
