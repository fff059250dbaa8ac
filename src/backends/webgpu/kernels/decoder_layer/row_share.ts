// Rows of several matrices that meet vectors of one width in one kernel.
import type { WeightFormat } from "../../../../core/dtype.ts";
import { type MatrixPlace, rowsFor } from "./layer_shape.ts";
import { type RowProductsOptions, rowsOf } from "./products.ts";

/** A matrix and where its outputs begin. */
export interface SharedMatrix {
  readonly matrix: MatrixPlace;
  readonly output: number;
}

/** How workgroups share the rows of all matrices: each has rows of one. */
export interface RowShare {
  readonly matrices: readonly SharedMatrix[];
  /** Rows of a workgroup. */
  readonly rows: number;
  /** Workgroups of each matrix, and in all. */
  readonly counts: readonly number[];
  readonly groups: number;
  /** Of the matrices, each once. */
  readonly formats: readonly WeightFormat[];
}

/** Shares rows among about `groups` workgroups, each of which has `most` at most. */
export function shareRows(
  matrices: readonly SharedMatrix[],
  groups: number,
  most: number,
): RowShare {
  const all = matrices.map(({ matrix }) => matrix.rows);
  const rows = rowsFor(sum(all), groups, most);
  const counts = all.map((count) => Math.ceil(count / rows));
  const formats = [...new Set(matrices.map(({ matrix }) => matrix.format))];
  return { matrices, rows, counts, groups: sum(counts), formats };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Products with the matrix that `chooseMatrix` has chosen. */
export function chosenMatrix(
  { formats }: RowShare,
  width: number,
): Pick<RowProductsOptions, "formats" | "row" | "source"> {
  const place = { width, values: "valueWords", scales: "scaleWords" };
  return {
    formats,
    row: (index) => `min(first + ${index}, matrixRows - 1u)`,
    source: (rows, lines) =>
      formats.map((format, i) => {
        const body = lines({ format, ...place }, rows);
        return formats.length === 1
          ? body
          : `  if (formatIndex == ${i}u) {\n${body}\n  }`;
      }).join("\n"),
  };
}

/**
 * Which rows of which matrix a workgroup has: `first` and on of `matrixRows`, whose
 * outputs begin at `firstOutput`.
 */
export function chooseMatrix(
  { matrices, counts, rows, formats }: RowShare,
): string {
  const lines = [
    "first",
    "matrixRows",
    "valueWords",
    "scaleWords",
    "firstOutput",
    "formatIndex",
  ].map((name) => `  var ${name} = 0u;`);
  let begin = 0;
  matrices.forEach(({ matrix, output }, i) => {
    const { values, scales } = rowsOf(matrix);
    lines.push(`  ${i > 0 ? "else " : ""}if (group.x < ${begin + counts[i]!}u) {
    first = (group.x - ${begin}u) * ${rows}u; matrixRows = ${matrix.rows}u;
    valueWords = ${values}; scaleWords = ${scales};
    firstOutput = ${output}u; formatIndex = ${formats.indexOf(matrix.format)}u;
  }`);
    begin += counts[i]!;
  });
  return lines.join("\n");
}
