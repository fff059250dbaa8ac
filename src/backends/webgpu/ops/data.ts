// Views, moving data, looking rows up.
import { InputError } from "../../../core/errors.ts";
import { numel, type Shape } from "../../../core/shape.ts";
import type { Ops, Tensor, Weight } from "../../../ops/ops.ts";
import { shapes } from "../../../ops/shapes.ts";
import { copyColumnsWgsl } from "../kernels/copy_columns.ts";
import { chosenEmbeddingWgsl, embeddingWgsl } from "../kernels/embedding.ts";
import { gatherRowsWgsl } from "../kernels/gather_rows.ts";
import { STACKED_PARTS, stackWgsl } from "../kernels/stack.ts";
import { elementGrid, type Recorder } from "../recorder.ts";
import type { Binding, WebGpuTensor } from "../tensors.ts";
import type { WebGpuWeight } from "../weights.ts";

/** Operations of this group. */
type DataOps = Pick<
  Ops,
  | "reshape"
  | "at"
  | "gatherRows"
  | "columns"
  | "concatColumns"
  | "stack"
  | "embedding"
>;

/** The same strings each time, by the number of parts less one. */
const STACK_CODES = Array.from(
  { length: STACKED_PARTS },
  (_, i) => stackWgsl(i + 1),
);

/** Views, moving data, looking rows up. */
export function dataOps(r: Recorder): DataOps {
  return {
    reshape: (x, shape) => r.view(x, shapes.reshape(x, shape), 0),
    at(x, index) {
      const shape = shapes.at(x, index);
      return r.view(x, shape, index * numel(shape));
    },
    gatherRows(sources, index) {
      const shape = shapes.gatherRows(sources, index);
      return gatherRows(r, sources.map((x) => r.own(x)), index, shape);
    },
    columns(x, first, count) {
      const shape = shapes.columns(x, first, count);
      if (x.shape[0] === 1) return r.view(x, shape, first);
      const out = r.output(shape);
      const [rows, xStride] = x.shape as readonly [number, number];
      const run = { rows, count, xFirst: first, xStride, yStride: count };
      copyColumns(r, r.own(x), out, { ...run, yFirst: 0 });
      return out;
    },
    concatColumns(parts) {
      const out = r.output(shapes.concatColumns(parts));
      const [rows, yStride] = out.shape as readonly [number, number];
      let yFirst = 0;
      for (const part of parts) {
        const count = part.shape[1]!;
        const run = { rows, count, xFirst: 0, xStride: count, yStride };
        copyColumns(r, r.own(part), out, { ...run, yFirst });
        yFirst += count;
      }
      return out;
    },
    stack: (parts) => stack(r, parts, shapes.stack(parts)),
    embedding(table, ids, scale) {
      const out = r.output(shapes.embedding(table, ids, scale));
      const w = ownTable(r, table);
      lookUp(r, w, { ids: r.values(ids), out, scale });
      return out;
    },
  };
}

/** Tensors of one size one behind another. */
export function stack(
  r: Recorder,
  parts: readonly Tensor[],
  shape: Shape,
): WebGpuTensor {
  const out = r.output(shape);
  const count = numel(shape) / parts.length;
  for (let part = 0; part < parts.length; part += STACKED_PARTS) {
    const some = parts.slice(part, part + STACKED_PARTS);
    r.dispatch({
      code: STACK_CODES[some.length - 1]!,
      reads: some.map((x) => r.own(x)),
      writes: [out],
      params: [count, part * count],
      workgroups: elementGrid(some.length * count),
    });
  }
  return out;
}

/** What {@link lookUp} is told. */
export interface LookUp {
  readonly ids: Binding;
  /** Where the first id lies, when the device has chosen them. */
  readonly firstChosen?: number;
  /** `[T, D]` */
  readonly out: WebGpuTensor;
  readonly scale: number;
}

/** Checks that rows can be looked up in a weight. */
export function ownTable(r: Recorder, table: Weight): WebGpuWeight {
  const w = r.ownWeight("embedding", table, "matrix");
  if (!w.sparseInput) return w;
  throw new InputError(
    `Cannot record "embedding": weight "${w.name}" was declared with ` +
      '"sparseInput"; declare it without',
  );
}

/** Records `out[t] = table[ids[t]] * scale`. */
export function lookUp(
  r: Recorder,
  w: WebGpuWeight,
  { ids, firstChosen, out, scale }: LookUp,
): void {
  const [rows, width] = out.shape as readonly [number, number];
  const isChosen = firstChosen !== undefined;
  const codes = isChosen ? chosenEmbeddingWgsl : embeddingWgsl;
  for (const { firstRow, rows: partRows, values, scales } of w.parts) {
    const planes = w.format === "f32" ? [values] : [values, scales];
    r.dispatch({
      label: "embedding", // others may record it
      code: codes[w.format],
      constants: {
        WIDTH: width,
        FACTOR: scale,
        ...(isChosen && { VOCAB: w.shape[0]! }),
      },
      reads: [...planes, ids],
      writes: [out],
      params: [rows, firstRow, partRows, ...(isChosen ? [firstChosen] : [])],
      workgroups: elementGrid(rows * width),
    });
  }
}

/** Records one dispatch for each source that rows are picked from. */
function gatherRows(
  r: Recorder,
  sources: readonly WebGpuTensor[],
  index: Int32Array,
  shape: Shape,
): WebGpuTensor {
  const width = numel(shape.slice(1));
  const out = r.output(shape);
  let start = 0;
  for (const source of sources) {
    const end = start + source.shape[0]!;
    const pairs: number[] = [];
    index.forEach((row, target) => {
      if (row >= start && row < end) pairs.push(target, row - start);
    });
    start = end;
    if (pairs.length === 0 || width === 0) continue;
    const count = pairs.length / 2;
    r.dispatch({
      code: gatherRowsWgsl,
      constants: { WIDTH: width },
      reads: [source, r.values(Uint32Array.from(pairs))],
      writes: [out],
      params: [count],
      workgroups: elementGrid(count * width),
    });
  }
  return out;
}

/** Which elements to copy, as in kernels/copy_columns.ts. */
interface ColumnRun {
  readonly rows: number;
  readonly count: number;
  readonly xFirst: number;
  readonly xStride: number;
  readonly yFirst: number;
  readonly yStride: number;
}

/** Copies columns of `x` into `out`. */
function copyColumns(
  r: Recorder,
  x: WebGpuTensor,
  out: WebGpuTensor,
  { rows, count, xFirst, xStride, yFirst, yStride }: ColumnRun,
): void {
  r.dispatch({
    code: copyColumnsWgsl,
    reads: [x],
    writes: [out],
    params: [rows, count, xFirst, xStride, yFirst, yStride],
    workgroups: elementGrid(rows * count),
  });
}
