import { mathWgsl } from "../math.ts";
import {
  ADDEND_BINDINGS,
  kernelWgsl,
  WEIGHT_BINDINGS,
  WorkgroupSums,
} from "./kernel.ts";
import {
  costOf,
  type LayerKernel,
  type LayerShape,
  threadsFor,
} from "./layer_shape.ts";
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
 * unnormed in `addend` `[D]`, which goes with weight `addendNorm` into all streams
 * but the first; unmatched streams get the magnitude of the first here. Writes `state` `[A + 1, D]`, the predicted streams and the normed active
 * one, and `projected` `[N * H + 2 * K * H + R]`: q, k, v and LAuReL, raw; k and v
 * only where the layer has its own.
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
    code: kernelWgsl(subgroups, {
      threads,
      bindings: [
        { name: "streams", element: "vec4f" },
        ...(lack.pending ? ADDEND_BINDINGS : []),
        ...WEIGHT_BINDINGS,
        { name: "state", element: "vec4f", writes: true },
        { name: "projected", element: "f32", writes: true },
      ],
      declarations: [
        mathWgsl,
        `var<workgroup> coefs: array<f32, ${streams ** 2}>;`,
        sums.declaration(),
        products.declaration,
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

function projections(shape: LayerShape): SharedMatrix[] {
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
