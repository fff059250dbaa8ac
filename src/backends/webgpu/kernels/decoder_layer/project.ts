import { mathWgsl } from "../math.ts";
import {
  kernelCode,
  quadStore,
  WEIGHT_BINDINGS,
  WorkgroupSums,
} from "./kernel.ts";
import {
  costOf,
  type LayerKernel,
  type LayerShape,
  threadsFor,
} from "./layer_shape.ts";
import { preparedPlaces } from "./left_places.ts";
import { Octets } from "./products.ts";
import {
  coefficients,
  loadStreams,
  predictActive,
  type StreamsLack,
  writeSlice,
} from "./project_streams.ts";
import {
  chooseMatrix,
  chosenProducts,
  type SharedMatrix,
  shareRows,
} from "./row_share.ts";

/** Workgroups that are wanted, and most rows of one. */
const GROUPS = 128;
const MOST_ROWS = 32;

/**
 * WGSL of a layer's first kernel: the streams are predicted, the active one is
 * normed, and meets the projections of attention and the left half of LAuReL.
 *
 * `streams` `[A, D]`; where an addend is pending the layer before left its result
 * unnormed behind them (`leftPlaces`), which goes into all streams but the first;
 * unmatched streams get the magnitude of the first here. Writes `projected` as
 * `preparedPlaces` has it: `[A + 1, D]`, the predicted streams and the normed active
 * one; q, k, v and LAuReL, raw, k and v only where the layer has its own; and q and
 * k times the weights of their norms, which attention needs beside them.
 *
 * Every workgroup computes all of what is normed and writes a part of it. The
 * active stream is the first one, which no addend changes, so that one sum over
 * the workgroup serves both the addend's norm and the router.
 */
export function projectKernel(
  shape: LayerShape,
  lack: StreamsLack,
): LayerKernel {
  const { hidden, streams, subgroups } = shape;
  const threads = threadsFor(hidden);
  const share = shareRows(projections(shape), GROUPS, MOST_ROWS);
  const { groups } = share;
  const octets = new Octets("d", hidden, threads, threads);
  const products = chosenProducts(share, octets, subgroups);
  const sums = new WorkgroupSums(subgroups, threads);
  const body = [
    chooseMatrix(share),
    octets.declare(),
    products.before,
    loadStreams(shape, octets, lack),
    coefficients(shape, octets, sums, lack),
    predictActive(shape, octets, sums, lack),
    writeSlice(shape, octets, Math.ceil(hidden / 4 / groups)),
    products.after,
  ];
  return {
    label: "decoderLayer project",
    groups,
    cost: costOf(share.matrices.map(({ matrix }) => matrix)),
    ...kernelCode(subgroups, {
      threads,
      bindings: [
        { name: "streams", element: "vec4f" },
        ...WEIGHT_BINDINGS,
        { name: "projected", element: "f32", writes: true },
      ],
      declarations: [
        mathWgsl,
        quadStore("projected"),
        `var<workgroup> coefs: array<f32, ${streams ** 2}>;`,
        sums.declaration(),
        products.declaration,
      ],
      body,
    }),
  };
}

function projections(shape: LayerShape): SharedMatrix[] {
  const { headDim, qProj, qNorm, keyValue, laurelLeft } = shape;
  const at = preparedPlaces(shape);
  return [
    {
      matrix: qProj,
      output: at.query,
      weighted: { output: at.weightedQuery, weight: 4 * qNorm, width: headDim },
    },
    ...(keyValue
      ? [
        {
          matrix: keyValue.kProj,
          output: at.key,
          weighted: {
            output: at.weightedKey,
            weight: 4 * keyValue.kNorm,
            width: headDim,
          },
        },
        { matrix: keyValue.vProj, output: at.value },
      ]
      : []),
    { matrix: laurelLeft, output: at.laurel },
  ];
}
