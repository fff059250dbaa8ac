// Shapes of views, of operations that move data, and of linear maps.
import { formatShape, numel } from "../../core/shape.ts";
import type { OpShapes } from "../shapes.ts";
import {
  dims,
  lastDim,
  opError,
  requireCount,
  requireShape,
  type Shaped,
} from "./check.ts";

/** Views, moving data, linear maps. */
export const dataShapes: Pick<
  OpShapes,
  | "reshape"
  | "at"
  | "gatherRows"
  | "columns"
  | "concatColumns"
  | "stack"
  | "embedding"
  | "matmul"
  | "gatedMatmul"
> = {
  reshape(x, shape) {
    for (const dim of shape) requireCount("reshape", "shape", dim);
    if (numel(shape) !== numel(x.shape)) {
      throw opError(
        "reshape",
        `${formatShape(x.shape)} has ${numel(x.shape)} elements, ${
          formatShape(shape)
        } has ${numel(shape)}`,
      );
    }
    return shape;
  },
  at(x, index) {
    lastDim("at", "x", x);
    requireRange("at", "index", index, x.shape[0]!);
    return x.shape.slice(1);
  },
  gatherRows(sources, index) {
    const row = firstOf("gatherRows", "sources", sources).shape.slice(1);
    let rows = 0;
    for (const [i, source] of sources.entries()) {
      lastDim("gatherRows", `sources[${i}]`, source);
      requireShape("gatherRows", `sources[${i}]`, source, [
        source.shape[0]!,
        ...row,
      ]);
      rows += source.shape[0]!;
    }
    for (const i of index) requireRange("gatherRows", "index", i, rows);
    return [index.length, ...row];
  },
  columns(x, first, count) {
    const [rows, width] = dims("columns", "x", x, "[T,D]");
    requireCount("columns", "first", first);
    requireCount("columns", "count", count);
    if (first + count > width!) {
      throw opError(
        "columns",
        `columns ${first}..${first + count} lie outside ${
          formatShape(x.shape)
        }`,
      );
    }
    return [rows!, count];
  },
  concatColumns(parts) {
    const rows = firstOf("concatColumns", "parts", parts).shape[0]!;
    let width = 0;
    for (const [i, part] of parts.entries()) {
      const columns = dims("concatColumns", `parts[${i}]`, part, "[T,D]")[1]!;
      requireShape("concatColumns", `parts[${i}]`, part, [rows, columns]);
      width += columns;
    }
    return [rows, width];
  },
  stack(parts) {
    const { shape } = firstOf("stack", "parts", parts);
    for (const [i, part] of parts.entries()) {
      requireShape("stack", `parts[${i}]`, part, shape);
    }
    return [parts.length, ...shape];
  },
  embedding(table, ids) {
    const [rows, width] = dims("embedding", "table", table, "[V,D]");
    for (const id of ids) requireRange("embedding", "ids", id, rows!);
    return [ids.length, width!];
  },
  matmul(x, w) {
    const [outputs, width] = dims("matmul", "w", w, "[F,K]");
    if (lastDim("matmul", "x", x) !== width) {
      throw opError(
        "matmul",
        `x ${formatShape(x.shape)} and w ${
          formatShape(w.shape)
        } differ in their last dimension`,
      );
    }
    return [...x.shape.slice(0, -1), outputs!];
  },
  gatedMatmul(x, w, gate) {
    const [outputs, width] = dims("gatedMatmul", "w", w, "[F,K]");
    if (lastDim("gatedMatmul", "x", x) !== width) {
      throw opError(
        "gatedMatmul",
        `x ${formatShape(x.shape)} and w ${
          formatShape(w.shape)
        } differ in their last dimension`,
      );
    }
    const shape = [...x.shape.slice(0, -1), outputs!];
    requireShape("gatedMatmul", "gate", gate, shape);
    return shape;
  },
};

function firstOf<T extends Shaped>(
  op: string,
  name: string,
  list: readonly T[],
): T {
  const [first] = list;
  if (first === undefined) {
    throw opError(op, `"${name}" is empty, wanted at least one tensor`);
  }
  return first;
}

function requireRange(
  op: string,
  name: string,
  value: number,
  end: number,
): void {
  if (!Number.isInteger(value) || value < 0 || value >= end) {
    throw opError(op, `"${name}" holds ${value}, wanted 0..${end - 1}`);
  }
}
