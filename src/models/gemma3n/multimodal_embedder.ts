// Transformers' Gemma3nMultimodalEmbedder: brings soft tokens (outputs of a
// tower) and hard tokens (ids of a tower's vocabulary) into the decoder's space.
//
// The two paths share only the projection and are loaded apart: soft tokens
// are embedded on the tower's device, hard ones also where no tower is loaded.
import { InputError } from "../../core/errors.ts";
import type { Ops, Tensor, Weight } from "../../ops/ops.ts";
import type { WeightLoader } from "../../ops/weight_loader.ts";

/** What an embedder needs of its tower's config; M is `hiddenSize`. */
export interface MultimodalEmbedderConfig {
  /** Channels of a tower's output. */
  readonly hiddenSize: number;
  /** Tokens of the tower's own vocabulary. */
  readonly vocabSize: number;
  /** First token id of the vocabulary. */
  readonly vocabOffset: number;
  readonly rmsNormEps: number;
}

/** Weights of the soft path. */
export interface SoftEmbedder {
  /** vector [M] */
  readonly softEmbeddingNorm: Weight;
  /** matrix [D, M] */
  readonly embeddingProjection: Weight;
  readonly eps: number;
}

/** Weights of the hard path. */
export interface HardEmbedder {
  /** matrix [V, M] */
  readonly embedding: Weight;
  /** vector [M] */
  readonly hardEmbeddingNorm: Weight;
  /** matrix [D, M] */
  readonly embeddingProjection: Weight;
  readonly eps: number;
  readonly vocabOffset: number;
}

/**
 * Names the weights of the soft path. `loader` is scoped to the embedder,
 * `textHiddenSize` is D.
 *
 * @throws {CheckpointError} When a weight is missing or has another shape.
 */
export function softEmbedderWeights(
  loader: WeightLoader,
  config: MultimodalEmbedderConfig,
  textHiddenSize: number,
): SoftEmbedder {
  return {
    softEmbeddingNorm: loader.weight("vector", "soft_embedding_norm.weight", [
      config.hiddenSize,
    ]),
    embeddingProjection: projection(loader, config, textHiddenSize),
    eps: config.rmsNormEps,
  };
}

/**
 * Names the weights of the hard path. `loader` is scoped to the embedder,
 * `textHiddenSize` is D.
 *
 * @throws {CheckpointError} When a weight is missing or has another shape.
 */
export function hardEmbedderWeights(
  loader: WeightLoader,
  config: MultimodalEmbedderConfig,
  textHiddenSize: number,
): HardEmbedder {
  const { hiddenSize, vocabSize, vocabOffset, rmsNormEps } = config;
  return {
    embedding: loader.weight("matrix", "embedding.weight", [
      vocabSize,
      hiddenSize,
    ]),
    hardEmbeddingNorm: loader.weight("vector", "hard_embedding_norm.weight", [
      hiddenSize,
    ]),
    embeddingProjection: projection(loader, config, textHiddenSize),
    eps: rmsNormEps,
    vocabOffset,
  };
}

/** Soft tokens `[T, M]` -> `[T, D]`. */
export function embedSoftTokens(ops: Ops, w: SoftEmbedder, x: Tensor): Tensor {
  const h = ops.rmsNorm(x, w.softEmbeddingNorm, w.eps);
  return project(ops, w, h);
}

/**
 * Ids of the tower's vocabulary, as they stand in the prompt, -> `[T, D]`.
 * Unlike the decoder's own embeddings they are not scaled by sqrt(D).
 *
 * @throws {InputError} When an id is outside `vocabOffset .. vocabOffset + V - 1`.
 */
export function embedHardTokens(
  ops: Ops,
  w: HardEmbedder,
  ids: Int32Array,
): Tensor {
  const vocabSize = w.embedding.shape[0]!;
  const rows = ids.map((id) => id - w.vocabOffset);
  const outside = rows.findIndex((row) => row < 0 || row >= vocabSize);
  if (outside >= 0) {
    throw new InputError(
      `Cannot embed token ${
        ids[outside]
      }: this vocabulary has ids ${w.vocabOffset} to ${
        w.vocabOffset + vocabSize - 1
      }`,
    );
  }
  const x = ops.embedding(w.embedding, rows, 1);
  return project(ops, w, ops.rmsNorm(x, w.hardEmbeddingNorm, w.eps));
}

function project(
  ops: Ops,
  w: SoftEmbedder | HardEmbedder,
  h: Tensor,
): Tensor {
  // embedding_post_projection_norm has no weight.
  return ops.rmsNorm(ops.matmul(h, w.embeddingProjection), undefined, w.eps);
}

function projection(
  loader: WeightLoader,
  config: MultimodalEmbedderConfig,
  textHiddenSize: number,
): Weight {
  return loader.weight("matrix", "embedding_projection.weight", [
    textHiddenSize,
    config.hiddenSize,
  ]);
}
