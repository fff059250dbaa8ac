// What comes before and after the decoder's layers as one operation each. The
// definitions are `embedStreams()` and `mergeStreams()` in
// `models/gemma3n/text_model.ts`, made of other operations.
import type { Tensor, Weight } from "./ops.ts";

/** Weights of {@link EmbedStreamsOp}. The same record each time. */
export interface EmbedStreamsWeights {
  readonly altupProjections: readonly Weight[]; // A - 1 of [D, D]
  readonly perLayerModelProjection: Weight; // [L * P, D]
}

/** What the layers begin with. */
export interface EmbeddedStreams {
  readonly streams: Tensor; // [A, T, D]
  /** What the embeddings project to for each layer, neither scaled nor normed. */
  readonly perLayer: Tensor; // [T, L * P]
}

/** Weights of {@link MergeStreamsOp}. The same record each time. */
export interface MergeStreamsWeights {
  readonly altupUnembedProjections: readonly Weight[]; // A - 1 of [D, D]
  readonly norm: Weight; // [D]
}

/** What magnitudes and the norm are kept from dividing by. */
export interface StreamsEpsilons {
  readonly magnitude: number;
  readonly norm: number;
}

/**
 * AltUp's streams, the embeddings `[T, D]` and their projections with their
 * magnitude, and what else embeddings are projected to. `tableRows` `[T, L * P]`
 * of the same tokens are what the caller needs next: devices may look them up on
 * this occasion. `undefined`, and nothing recorded, where the device has no
 * kernels for it.
 */
export type EmbedStreamsOp = (
  w: EmbedStreamsWeights,
  embeds: Tensor,
  tableRows: Tensor,
  eps: StreamsEpsilons,
) => EmbeddedStreams | undefined;

/**
 * The mean of AltUp's streams, each projected back and with the magnitude of the
 * first, and normed: `[A, T, D] -> [T, D]`. `undefined`, and nothing recorded,
 * where the device has no kernels for it.
 */
export type MergeStreamsOp = (
  w: MergeStreamsWeights,
  x: Tensor,
  eps: StreamsEpsilons,
) => Tensor | undefined;
