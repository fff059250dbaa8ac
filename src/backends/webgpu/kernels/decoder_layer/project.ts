import { mathWgsl } from "../math.ts";
import { kernelWgsl, WEIGHT_BINDINGS, WorkgroupSums } from "./kernel.ts";
import {
  costOf,
  float,
  type LayerKernel,
  type LayerShape,
  type MatrixPlace,
  range,
  rowsFor,
  threadsFor,
} from "./layer_shape.ts";
import { Octets, RowProducts, rowsOf } from "./products.ts";

/** Workgroups that are wanted, and most rows of one. */
const GROUPS = 196;
const MOST_ROWS = 16;

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
  const matrices = projections(shape);
  const rows = rowsFor(
    matrices.reduce((sum, { matrix }) => sum + matrix.rows, 0),
    GROUPS,
    MOST_ROWS,
  );
  const counts = matrices.map(({ matrix }) => Math.ceil(matrix.rows / rows));
  const groups = counts.reduce((sum, count) => sum + count, 0);
  const octets = new Octets("d", hidden, threads, threads);
  const formats = [...new Set(matrices.map(({ matrix }) => matrix.format))];
  const products = new RowProducts({
    octets,
    subgroups,
    rows,
    formats,
    row: (index) => `min(first + ${index}, matrixRows - 1u)`,
    source: (own, lines) =>
      formats.map((format, i) => {
        const matrix = {
          format,
          width: hidden,
          values: "valueWords",
          scales: "scaleWords",
        };
        const body = lines(matrix, own);
        return formats.length === 1
          ? body
          : `  if (formatIndex == ${i}u) {\n${body}\n  }`;
      }).join("\n"),
  });
  const sums = new WorkgroupSums(subgroups, threads);
  const body = [
    chooseMatrix(matrices, counts, rows, formats),
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
  const addend = [
    { name: "addend", element: "vec4f" },
    { name: "addendNorm", element: "vec4f" },
  ];
  return {
    label: "decoderLayer project",
    groups,
    cost: costOf(matrices.map(({ matrix }) => matrix)),
    code: kernelWgsl(subgroups, {
      threads,
      bindings: [
        { name: "streams", element: "vec4f" },
        ...(pending ? addend : []),
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

/** Which rows of which matrix a workgroup has. */
function chooseMatrix(
  matrices: readonly Projection[],
  counts: readonly number[],
  rows: number,
  formats: readonly MatrixPlace["format"][],
): string {
  const lines = [
    "var first",
    "var matrixRows",
    "var valueWords",
    "var scaleWords",
    "var firstOutput",
    "var formatIndex",
  ].map((name) => `  ${name} = 0u;`);
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

/** The thread's quads of all streams, and of the addend. */
function loadStreams(
  { streams, hidden }: LayerShape,
  octets: Octets,
  pending: boolean,
): string {
  const names = [
    ...range(streams).map((
      j,
    ) => [`stream${j}`, `streams[${j * hidden / 4}u + `]),
    ...(pending ? [["added", "addend["]] : []),
  ] as const;
  const ids = range(octets.count).flatMap((k) => [`a${k}`, `b${k}`]);
  const declared = names.flatMap(([name]) =>
    ids.map((id) => `  var ${name}${id} = vec4f();`)
  );
  return `${declared.join("\n")}
${
    octets.eachQuad((q, _, id) =>
      names.map(([name, at]) => `  ${name}${id} = ${at}${q}];`).join("\n")
    )
  }`;
}

/** Coefficients of the prediction, `[A, A]` in workgroup memory, from the router. */
function coefficients(
  shape: LayerShape,
  octets: Octets,
  sums: WorkgroupSums,
  pending: boolean,
): string {
  const { streams, hidden, eps } = shape;
  const count = streams ** 2;
  const routed = range(streams);
  const weights = routed.map((a) =>
    `bitcast<f32>(words[${shape.predictionCoefs + a}u + thread * ${streams}u])`
  );
  const dots = routed.map((m) =>
    `    routed${m} += dot(routedX, vectors[${
      shape.router.values / 4 + m * hidden / 4
    }u + `
  );
  return `  var square = 0.0; var addedSquare = 0.0;
${routed.map((m) => `  var routed${m} = 0.0;`).join("\n")}
${
    octets.eachQuad((q, _, id) =>
      `  { let routedX = stream0${id} * vectors[${shape.routerNorm}u + ${q}];
    square += dot(stream0${id}, stream0${id});
${dots.map((dot) => `${dot}${q}]);`).join("\n")} }${
        pending ? `\n  addedSquare += dot(added${id}, added${id});` : ""
      }`
    )
  }
${
    sums.lines([
      ["squares", "square"],
      ...(pending ? [["addedSquares", "addedSquare"]] as const : []),
      ...routed.map((m) => [`routedSum${m}`, `routed${m}`] as const),
    ])
  }
  let routerFactor = inverseSqrt(squares / ${float(hidden)} + ${
    float(eps)
  }) / ${float(hidden)};
${
    routed.map((m) =>
      `  let modality${m} = safeTanh(routerFactor * routedSum${m});`
    ).join("\n")
  }
  if (thread < ${count}u) {
    coefs[thread] = ${
    weights.map((weight, a) => `modality${a} * ${weight}`).join(" + ")
  };
  }
  workgroupBarrier();`;
}

/** The active stream, predicted and normed: the vector of the products. */
function predictActive(
  { streams, hidden, eps, inputNorm }: LayerShape,
  octets: Octets,
  sums: WorkgroupSums,
  pending: boolean,
): string {
  const others = range(streams).slice(1);
  const add = pending
    ? `  let addedFactor = inverseSqrt(addedSquares / ${float(hidden)} + ${
      float(eps)
    });
${
      octets.eachQuad((q, _, id) =>
        `  added${id} *= addedFactor * addendNorm[${q}];
${others.map((j) => `  stream${j}${id} += added${id};`).join("\n")}`
      )
    }`
    : "";
  return `${add}
  var activeSquare = 0.0;
${
    octets.eachQuad((_, x, id) =>
      `  ${x} = ${predicted(streams, 0, id)};
  activeSquare += dot(${x}, ${x});`
    )
  }
${sums.lines([["activeSquares", "activeSquare"]])}
  let activeFactor = inverseSqrt(activeSquares / ${float(hidden)} + ${
    float(eps)
  });
${
    range(octets.count).flatMap((k) => [`a${k}`, `b${k}`]).map((id) =>
      `  var active${id} = vec4f();`
    ).join("\n")
  }
${
    octets.eachQuad((q, x, id) =>
      `  active${id} = ${x}; ${x} *= activeFactor * vectors[${inputNorm}u + ${q}];`
    )
  }`;
}

/** Quads of the state that this workgroup writes. */
function writeSlice(
  { streams, hidden }: LayerShape,
  octets: Octets,
  quads: number,
): string {
  return octets.eachQuad((q, x, id) =>
    `  if (${q} / ${quads}u == group.x) {
    state[${q}] = active${id};
${
      range(streams).slice(1).map((i) =>
        `    state[${i * hidden / 4}u + ${q}] = ${predicted(streams, i, id)};`
      ).join("\n")
    }
    state[${streams * hidden / 4}u + ${q}] = ${x};
  }`
  );
}

function predicted(streams: number, i: number, id: string): string {
  const terms = range(streams).map((j) =>
    `coefs[${i * streams + j}] * stream${j}${id}`
  );
  return `stream${i}${id} + ${terms.join(" + ")}`;
}
