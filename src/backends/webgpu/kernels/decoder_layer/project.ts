import type { WeightFormat } from "../../../../core/dtype.ts";
import { mathWgsl } from "../math.ts";
import {
  type KernelBinding,
  kernelWgsl,
  WEIGHT_BINDINGS,
  WorkgroupSums,
} from "./kernel.ts";
import {
  costOf,
  type LayerKernel,
  type LayerShape,
  type MatrixPlace,
  rowsFor,
  threadsFor,
} from "./layer_shape.ts";
import {
  Octets,
  RowProducts,
  type RowProductsOptions,
  rowsOf,
} from "./products.ts";
import {
  coefficients,
  loadStreams,
  predictActive,
  writeSlice,
} from "./project_streams.ts";

/** Workgroups that are wanted, and most rows of one. */
const GROUPS = 128;
const MOST_ROWS = 32;

/**
 * WGSL of a layer's first kernel: the streams are predicted, the active one is
 * normed, and meets the projections of attention and the left half of LAuReL.
 *
 * `streams` `[A, D]`; with `pending` the layer before left its result unnormed in
 * `addend` `[D]`, which goes with weight `addendNorm` into all streams but the
 * first. Writes `state` `[A + 1, D]`, the predicted streams and the normed active
 * one, and `projected` `[N * H + 2 * K * H + R]`: q, k, v and LAuReL, raw; k and v
 * only where the layer has its own.
 *
 * Every workgroup computes all of what is normed and writes a part of it. The
 * active stream is the first one, which no addend changes, so that one sum over
 * the workgroup serves both the addend's norm and the router.
 */
export function projectKernel(
  shape: LayerShape,
  pending: boolean,
): LayerKernel {
  const { hidden, streams, subgroups } = shape;
  const threads = threadsFor(hidden);
  const share = shareRows(projections(shape));
  const { rows, groups } = share;
  const octets = new Octets("d", hidden, threads, threads);
  const products = new RowProducts({
    octets,
    subgroups,
    rows,
    batchWords: rows, // all under way before the vector is known
    ...chosenMatrix(share, hidden),
  });
  const sums = new WorkgroupSums(subgroups, threads);
  const body = [
    chooseMatrix(share),
    octets.declare(),
    products.before(),
    loadStreams(shape, octets, pending),
    coefficients(shape, octets, sums, pending),
    predictActive(shape, octets, sums, pending),
    writeSlice(shape, octets, Math.ceil(hidden / 4 / groups)),
    products.after(),
    `  if (thread < ${rows}u && first + thread < matrixRows) {
    projected[firstOutput + first + thread] = dTotal(thread);
  }`,
  ];
  return {
    label: "decoderLayer project",
    groups,
    cost: costOf(share.matrices.map(({ matrix }) => matrix)),
    code: kernelWgsl(subgroups, {
      threads,
      bindings: [
        { name: "streams", element: "vec4f" },
        ...(pending ? ADDEND_BINDINGS : []),
        ...WEIGHT_BINDINGS,
        { name: "state", element: "vec4f", writes: true },
        { name: "projected", element: "f32", writes: true },
      ],
      declarations: [
        mathWgsl,
        `var<workgroup> coefs: array<f32, ${streams ** 2}>;`,
        sums.declaration(),
        products.declaration(),
      ],
      body,
    }),
  };
}

const ADDEND_BINDINGS: readonly KernelBinding[] = [
  { name: "addend", element: "vec4f" },
  { name: "addendNorm", element: "vec4f" },
];

/** Elements of `projected`. */
export function projectedSize(
  { heads, kvHeads, headDim, rank }: LayerShape,
): number {
  return (heads + 2 * kvHeads) * headDim + rank;
}

/** A matrix and where its outputs begin. */
interface Projection {
  readonly matrix: MatrixPlace;
  readonly output: number;
}

function projections(shape: LayerShape): Projection[] {
  const { heads, kvHeads, headDim, qProj, keyValue, laurelLeft } = shape;
  const [q, kv] = [heads * headDim, kvHeads * headDim];
  return [
    { matrix: qProj, output: 0 },
    ...(keyValue
      ? [
        { matrix: keyValue.kProj, output: q },
        { matrix: keyValue.vProj, output: q + kv },
      ]
      : []),
    { matrix: laurelLeft, output: q + 2 * kv },
  ];
}

/** How workgroups share the rows of all matrices: each has rows of one. */
interface RowShare {
  readonly matrices: readonly Projection[];
  /** Rows of a workgroup. */
  readonly rows: number;
  /** Workgroups of each matrix, and in all. */
  readonly counts: readonly number[];
  readonly groups: number;
  /** Of the matrices, each once. */
  readonly formats: readonly WeightFormat[];
}

function shareRows(matrices: readonly Projection[]): RowShare {
  const all = matrices.map(({ matrix }) => matrix.rows);
  const rows = rowsFor(sum(all), GROUPS, MOST_ROWS);
  const counts = all.map((count) => Math.ceil(count / rows));
  const formats = [...new Set(matrices.map(({ matrix }) => matrix.format))];
  return { matrices, rows, counts, groups: sum(counts), formats };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Products with the matrix that `chooseMatrix` has chosen. */
function chosenMatrix(
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

/** Which rows of which matrix a workgroup has. */
function chooseMatrix({ matrices, counts, rows, formats }: RowShare): string {
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
