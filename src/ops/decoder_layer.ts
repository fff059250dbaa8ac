// A whole decoder layer as one operation: what it takes. Its definition is
// `models/gemma3n/decoder_layer.ts`, which makes it of the other operations and
// whose records of weights and sizes have these shapes.
import type { KvStore, Segment, Tensor, Weight } from "./ops.ts";

/** Weights of AltUp: router, predictions and corrections. */
export interface LayerAltUpWeights {
  readonly routerNorm: Weight; // [D]
  readonly modalityRouter: Weight; // [A, D]
  readonly predictionCoefs: Weight; // [A * A, A]
  readonly correctionCoefs: Weight; // [A, A]
  readonly correctOutputScale: Weight; // [D]
}

/** Weights of the low-rank path. */
export interface LayerLaurelWeights {
  readonly linearLeft: Weight; // [R, D]
  readonly linearRight: Weight; // [D, R]
  readonly postLaurelNorm: Weight; // [D]
}

/** Weights of attention. */
export interface LayerAttentionWeights {
  readonly qProj: Weight; // [N * H, D]
  readonly qNorm: Weight; // [H]
  readonly oProj: Weight; // [D, N * H]
  /** `undefined` where an earlier layer's keys and values are used. */
  readonly keyValue: {
    readonly kProj: Weight; // [K * H, D]
    readonly vProj: Weight; // [K * H, D]
    readonly kNorm: Weight; // [H]
  } | undefined;
  /** Keys a row sees, itself included; `undefined` for all of them. */
  readonly window: number | undefined;
}

/** Weights of the MLP. */
export interface LayerMlpWeights {
  readonly gateProj: Weight; // [F, D]
  readonly upProj: Weight; // [F, D]
  readonly downProj: Weight; // [D, F]
  /** Deviations above the mean where the Gaussian top-k cuts; `undefined` for no cut. */
  readonly cutoffMultiplier: number | undefined;
}

/** Weights of a layer. The same record each time: what follows from it is kept. */
export interface LayerWeights {
  readonly altup: LayerAltUpWeights;
  readonly laurel: LayerLaurelWeights;
  readonly selfAttn: LayerAttentionWeights;
  readonly mlp: LayerMlpWeights;
  readonly inputLayernorm: Weight; // [D], like the norms below
  readonly postAttentionLayernorm: Weight;
  readonly preFeedforwardLayernorm: Weight;
  readonly postFeedforwardLayernorm: Weight;
  readonly perLayerInputGate: Weight; // [P, D]
  readonly perLayerProjection: Weight; // [D, P]
  readonly postPerLayerInputNorm: Weight; // [D]
}

/** Sizes of a layer. The same record each time, too. */
export interface LayerConfig {
  readonly rmsNormEps: number;
  readonly numAttentionHeads: number; // N
  readonly numKeyValueHeads: number; // K
  readonly headDim: number; // H
  readonly altupActiveIdx: number;
  /** Whether the active stream is scaled before it gates the per-layer input. */
  readonly altupCorrectScale: boolean;
}

/** What varies from step to step. */
export interface LayerContext {
  readonly segments: readonly Segment[];
  readonly stores: readonly KvStore[];
  readonly rope: { readonly cos: Tensor; readonly sin: Tensor }; // [T, H / 2]
  readonly perLayerInput: Tensor; // [T, P]
}

/**
 * A decoder layer, `[A, T, D] -> [A, T, D]`, that also appends keys and values
 * where the layer has its own. `undefined`, and nothing recorded, where the
 * device has no kernels for these sizes, formats or so many rows: then the
 * caller composes it of other operations, with the same result.
 */
export type DecoderLayerOp = (
  w: LayerWeights,
  config: LayerConfig,
  x: Tensor,
  context: LayerContext,
) => Tensor | undefined;
