// Rows of several matrices that meet vectors of one width in one kernel.
import type { WeightFormat } from "../../../../core/dtype.ts";
import type { SubgroupFeatures } from "../../features.ts";
import { GroupProducts } from "./group_products.ts";
import { type MatrixPlace, rowsFor } from "./layer_shape.ts";
import {
  type Octets,
  type ProductLines,
  RowProducts,
  rowsOf,
} from "./products.ts";
import { SharedVector } from "./shared_vector.ts";

/** Instead of the place of a weight. */
const NO_WEIGHT = 0xffffffff;

/** Rows of a workgroup are a multiple, where there are as many. */
const WHOLE_ROWS = 8;

/** A matrix and where its outputs begin. */
export interface SharedMatrix {
  readonly matrix: MatrixPlace;
  readonly output: number;
  /** Where outputs times a weight go, too. */
  readonly weighted?: WeightedOutputs;
}

/** Outputs in rows of `width`, each times a vector `weight`, which is so many words before it. */
export interface WeightedOutputs {
  readonly output: number;
  readonly weight: number;
  readonly width: number;
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
  const wanted = rowsFor(sum(all), groups, most);
  const rows = Math.round(wanted / WHOLE_ROWS) * WHOLE_ROWS || wanted;
  const counts = all.map((count) => Math.ceil(count / rows));
  const formats = [...new Set(matrices.map(({ matrix }) => matrix.format))];
  return { matrices, rows, counts, groups: sum(counts), formats };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/**
 * Products with the matrix that `chooseMatrix` has chosen, of a vector that threads
 * have by octets; they go to `projected`.
 */
export function chosenProducts(
  share: RowShare,
  octets: Octets,
  subgroups: SubgroupFeatures,
): ProductLines {
  const { formats } = share;
  const { threads, width, lanes } = octets;
  return lanes === threads &&
      GroupProducts.suits(subgroups, threads, width, formats)
    ? chosenByGroups(share, octets, subgroups)
    : chosenByOctets(share, octets, subgroups);
}

function chosenByOctets(
  share: RowShare,
  octets: Octets,
  subgroups: SubgroupFeatures,
): ProductLines {
  const { formats, rows } = share;
  const place = { width: octets.width, ...CHOSEN };
  const products = new RowProducts({
    octets,
    subgroups,
    rows,
    formats,
    row: chosenRow,
    source: (rows, lines) =>
      perFormat(formats, (format) => lines({ format, ...place }, rows)),
  });
  const total = `${octets.name}Total(thread)`;
  return {
    declaration: products.declaration(),
    before: `${loadWeights(share)}\n${products.before()}`,
    after: `${products.after()}\n${storeChosen(share, total)}`,
  };
}

function chosenByGroups(
  share: RowShare,
  octets: Octets,
  subgroups: SubgroupFeatures,
): ProductLines {
  const { formats, rows } = share;
  const { width, threads } = octets;
  const products = formats.map((format) =>
    new GroupProducts({
      name: format,
      width,
      threads,
      subgroups,
      matrices: [{ format, width, ...CHOSEN }],
      rows,
      together: 1,
      row: chosenRow,
    })
  );
  const vector = new SharedVector(octets, subgroups);
  const all = (lines: (own: GroupProducts) => string) =>
    products.map(lines).join("\n");
  return {
    declaration: `${vector.declaration()}\n${all((own) => own.declaration())}`,
    before: `${loadWeights(share)}
${all((own) => own.declare())}
${perFormat(formats, (_, i) => products[i]!.loadFirst())}`,
    after: `${vector.share()}
${
      perFormat(formats, (format, i) =>
        `${vector.multiply(products[i]!)}
${storeChosen(share, `${format}Total(0u, thread)`)}`)
    }`,
  };
}

/** The place that `chooseMatrix` gives. */
const CHOSEN = { values: "valueWords", scales: "scaleWords" } as const;

function chosenRow(index: string): string {
  return `min(first + ${index}, matrixRows - 1u)`;
}

/** Lines for the format of the chosen matrix. */
function perFormat(
  formats: readonly WeightFormat[],
  lines: (format: WeightFormat, i: number) => string,
): string {
  if (formats.length === 1) return lines(formats[0]!, 0);
  return formats.map((format, i) =>
    `  if (formatIndex == ${i}u) {\n${lines(format, i)}\n  }`
  ).join("\n");
}

/** The weight of a thread's output, which no product has to wait for. */
function loadWeights(share: RowShare): string {
  const width = weightedWidth(share);
  return width === 0 ? "" : `  var outputWeight = 0.0;
  if (weightWords != ${NO_WEIGHT}u && thread < ${share.rows}u) {
    outputWeight = bitcast<f32>(words[weightWords + (first + thread) % ${width}u]);
  }`;
}

function storeChosen(share: RowShare, total: string): string {
  const { rows } = share;
  const weighted = weightedWidth(share) === 0 ? "" : `
    if (weightWords != ${NO_WEIGHT}u) { projected[weightedOutput + first + thread] = total * outputWeight; }`;
  return `  if (thread < ${rows}u && first + thread < matrixRows) {
    let total = ${total};
    projected[firstOutput + first + thread] = total;${weighted}
  }`;
}

/** Of the rows that have weights; 0 where none has. */
function weightedWidth({ matrices }: RowShare): number {
  return Math.max(0, ...matrices.map(({ weighted }) => weighted?.width ?? 0));
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
    "weightWords",
    "weightedOutput",
  ].map((name) => `  var ${name} = 0u;`);
  let begin = 0;
  matrices.forEach(({ matrix, output, weighted }, i) => {
    const { values, scales } = rowsOf(matrix);
    lines.push(`  ${i > 0 ? "else " : ""}if (group.x < ${begin + counts[i]!}u) {
    first = (group.x - ${begin}u) * ${rows}u; matrixRows = ${matrix.rows}u;
    valueWords = ${values}; scaleWords = ${scales};
    firstOutput = ${output}u; formatIndex = ${formats.indexOf(matrix.format)}u;
    weightWords = ${weighted?.weight ?? NO_WEIGHT}u; weightedOutput = ${
      weighted?.output ?? 0
    }u;
  }`);
    begin += counts[i]!;
  });
  return lines.join("\n");
}
