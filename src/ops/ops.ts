// Every operation a model may call. Each records a command and returns a
// handle; nothing runs until the device's submit() or read().
//
// Letters: T rows (query tokens), S key positions, D hidden, N query heads, K
// KV heads, H head width, F outputs, A AltUp streams, V vocabulary; Y, X
// picture rows and columns, C channels. All tensors are f32, row-major; a
// batch is ragged: rows of several sequences, one after another.
import type { CacheDtype } from "../core/dtype.ts";
import type { Shape } from "../core/shape.ts";
import type { DecoderLayerOp } from "./decoder_layer.ts";
import type { EmbedStreamsOp, MergeStreamsOp } from "./decoder_streams.ts";

/** A value of the step being recorded: a handle with no data. Never changes once made. */
export interface Tensor {
  readonly shape: Shape;
}

/** A weight as the model sees it; its number format is the device's business. */
export interface Weight {
  readonly shape: Shape;
  /** Whether an optional weight had to be left out for want of memory; it cannot be used. */
  readonly leftOut?: boolean | undefined;
}

/** Size of the keys and values of one layer of one sequence. */
export interface KvSpec {
  /** Positions kept: position p lives in row p % capacity. */
  readonly capacity: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** How its values are kept; f32 unless given. A device may keep them as f32 always. */
  readonly dtype?: CacheDtype | undefined;
}

/** Keys and values of one layer of one sequence, on a device. A ring of `capacity` rows. */
export interface KvStore extends KvSpec {
  readonly kvStore: true;
}

/** Consecutive rows of a ragged batch that belong to one sequence. */
export interface Segment {
  /** Index of its first row in the batch. */
  readonly firstRow: number;
  readonly rows: number;
  /** Position of its first row in the sequence. */
  readonly firstPosition: number;
}

/** Options of {@link Ops.attention}. */
export interface AttentionOptions {
  /** N; K comes from the stores, query head n uses KV head floor(n * K / N). */
  readonly heads: number;
  /** Keys a row sees, itself included; `undefined` for all of them. */
  readonly window: number | undefined;
  /** Factor on the scores. Gemma 3n's decoder uses 1. */
  readonly scale: number;
}

/** Options of {@link Ops.multiQueryAttention}. */
export interface MultiQueryAttentionOptions {
  readonly heads: number;
  readonly scale: number;
}

/** Options of {@link Ops.relativeAttention}. */
export interface RelativeAttentionOptions {
  readonly heads: number;
  /** Keys before a row that it sees. */
  readonly past: number;
  /** Keys after a row that it sees. */
  readonly future: number;
  /** Scores become cap * tanh(score / cap). */
  readonly softcap: number;
}

/** Zeros added around a picture. */
export interface Padding {
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly right: number;
}

/** Options of the convolutions over pictures. */
export interface Conv2dOptions {
  /** Step in Y and X. */
  readonly stride: readonly [number, number];
  readonly padding: Padding;
}

/** The operations. `reference.ts` is their definition, in the same order. */
export interface Ops {
  // Views: no work, the same memory.

  /** The same elements under another shape. */
  reshape(x: Tensor, shape: Shape): Tensor;
  /** `x[index]` along the first dimension. */
  at(x: Tensor, index: number): Tensor;

  // Moving data.

  /**
   * Rows picked from sources that share a row width: `out[t]` is row
   * `index[t]` of the sources laid end to end. Sources `[R, ...]`, index
   * length T -> `[T, ...]`.
   */
  gatherRows(sources: readonly Tensor[], index: Int32Array): Tensor;
  /** Columns `first .. first + count` of `[T, D]` -> `[T, count]`. */
  columns(x: Tensor, first: number, count: number): Tensor;
  /** `[T, D1], [T, D2], ...` -> `[T, D1 + D2 + ...]`. */
  concatColumns(parts: readonly Tensor[]): Tensor;
  /** Tensors of one shape `[...]` -> `[parts.length, ...]`. */
  stack(parts: readonly Tensor[]): Tensor;

  // Linear maps.

  /** `table[ids[t]] * scale`: matrix `[V, D]` -> `[T, D]`. */
  embedding(table: Weight, ids: Int32Array, scale: number): Tensor;
  /** `x @ w^T`: x `[..., K]`, matrix `[F, K]` -> `[..., F]`. */
  matmul(x: Tensor, w: Weight): Tensor;
  /**
   * `gelu(gate) * (x @ w^T)`: x `[..., K]`, matrix `[F, K]`, gate `[..., F]` ->
   * `[..., F]`. Where the gate is zero a device need not compute the product.
   */
  gatedMatmul(x: Tensor, w: Weight, gate: Tensor): Tensor;

  // Elementwise. `a` and `b` have the same shape.

  add(a: Tensor, b: Tensor): Tensor;
  mul(a: Tensor, b: Tensor): Tensor;
  /** `x * factor`. */
  scale(x: Tensor, factor: number): Tensor;
  /** `(a + b) * factor`. */
  addScaled(a: Tensor, b: Tensor, factor: number): Tensor;
  /** `x[..., d] * w[d]`, vector `[D]`. */
  mulVector(x: Tensor, w: Weight): Tensor;
  /** `x[..., d] + w[d]`, vector `[D]`. */
  addVector(x: Tensor, w: Weight): Tensor;
  /** `x[t, ...] * factors[t]`; factors has T elements. */
  scaleRows(x: Tensor, factors: Tensor): Tensor;
  /** GELU, tanh form: `0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`. */
  gelu(x: Tensor): Tensor;
  /** `gelu(gate) * up`. */
  geluMul(gate: Tensor, up: Tensor): Tensor;
  relu(x: Tensor): Tensor;
  /** `x * sigmoid(x)`. */
  silu(x: Tensor): Tensor;
  /** `[T, 2D]` -> `[T, D]`: first half times sigmoid of the second. */
  glu(x: Tensor): Tensor;
  tanh(x: Tensor): Tensor;
  /** `cap * tanh(x / cap)`. */
  softcap(x: Tensor, cap: number): Tensor;
  /** `min(max(x, -limit), limit)`. */
  clamp(x: Tensor, limit: number): Tensor;

  // Over rows.

  /** `x / sqrt(mean(x^2) + eps) * weight` over the last dimension; no weight when `undefined`. */
  rmsNorm(x: Tensor, weight: Weight | undefined, eps: number): Tensor;
  /**
   * Gaussian top-k: `max(0, x - (mean + multiplier * deviation))` over the
   * last dimension, with the biased deviation.
   */
  gaussianTopK(x: Tensor, multiplier: number): Tensor;
  /** `x * sqrt(mean(target^2)) / sqrt(max(mean(x^2), eps))` over the last dimension. */
  matchMagnitude(x: Tensor, target: Tensor, eps: number): Tensor;

  // Decoder.

  /**
   * Rotary embedding, halves convention: x `[T, N, H]`, cos and sin
   * `[T, H/2]`: `out[i] = x[i] cos[i] - x[i + H/2] sin[i]`,
   * `out[i + H/2] = x[i + H/2] cos[i] + x[i] sin[i]`.
   */
  rope(x: Tensor, cos: Tensor, sin: Tensor): Tensor;
  /**
   * Writes keys and values `[T, K, H]` of `segments[i]` into `stores[i]` at
   * their positions. Takes effect in recording order.
   */
  appendKv(
    stores: readonly KvStore[],
    segments: readonly Segment[],
    k: Tensor,
    v: Tensor,
  ): void;
  /**
   * Causal attention of q `[T, N, H]` over the stores -> `[T, N, H]`. The row
   * at position p of `segments[i]` sees positions `max(0, p - window + 1) ..
   * p` of `stores[i]`, which must have been appended.
   */
  attention(
    q: Tensor,
    stores: readonly KvStore[],
    segments: readonly Segment[],
    options: AttentionOptions,
  ): Tensor;
  /** AltUp prediction: x `[A, T, D]`, coefs `[T, A * A]`: `out[i] = x[i] + sum_j coefs[t, i * A + j] x[j]`. */
  altupPredict(x: Tensor, coefs: Tensor): Tensor;
  /**
   * AltUp correction: predicted `[A, T, D]`, activated `[T, D]`, coefs
   * `[T, A]`: `out[i] = predicted[i] + (activated - predicted[active]) * (coefs[t, i] + 1)`.
   */
  altupCorrect(
    predicted: Tensor,
    activated: Tensor,
    coefs: Tensor,
    active: number,
  ): Tensor;
  /** x `[A, T, D]`, y `[T, D]`: adds y to every stream but the first. */
  addToStreams(x: Tensor, y: Tensor): Tensor;
  /** Mean over the first dimension: `[A, ...]` -> `[...]`. */
  meanStreams(x: Tensor): Tensor;
  /** A whole decoder layer, where a device has it; see decoder_layer.ts. */
  readonly decoderLayer?: DecoderLayerOp;
  /** AltUp's streams of embeddings, where a device has it; see decoder_streams.ts. */
  readonly embedStreams?: EmbedStreamsOp;
  /** AltUp's streams merged and normed, where a device has it; see decoder_streams.ts. */
  readonly mergeStreams?: MergeStreamsOp;
  /**
   * The id of the largest of each row, as a number, the first of equals: logits
   * `[T, V]` -> `[T]`; -1 where a row has a NaN or nothing above -Infinity.
   * Where a device has it; `generation/choice.ts` is its definition.
   */
  readonly argmax?: (logits: Tensor) => Tensor;
  /**
   * What `record` records, where a device has it: a device may do again what it
   * recorded for this `key` last, if the inputs have the same shapes, which
   * spares the host most of the time of recording.
   *
   * `record` must follow from the key and those shapes alone: it reads no other
   * tensor, and gives the one result that is used later. Values of the inputs
   * may differ, and positions of `segments`, which it passes on.
   */
  readonly repeat?: (
    key: object,
    inputs: readonly Tensor[],
    record: () => Tensor,
    segments?: readonly Segment[],
  ) => Tensor;

  // Pictures: `[Y, X, C]`.

  /** Weight conv2d `[O, C, KY, KX]` -> `[Y', X', O]`, `Y' = floor((Y + padding - KY) / stride) + 1`. */
  conv2d(x: Tensor, w: Weight, options: Conv2dOptions): Tensor;
  /** One filter a channel: weight depthwiseConv2d `[C, 1, KY, KX]` -> `[Y', X', C]`. */
  depthwiseConv2d(x: Tensor, w: Weight, options: Conv2dOptions): Tensor;
  /** Mean over blocks of `size`: `[Y, X, C]` -> `[Y / size[0], X / size[1], C]`. */
  avgPool2d(x: Tensor, size: readonly [number, number]): Tensor;
  /** Nearest neighbour, source index floor(i * in / out): -> `[size[0], size[1], C]`. */
  resizeNearest(x: Tensor, size: readonly [number, number]): Tensor;
  /** Bilinear, half-pixel centres, no antialias (torch `align_corners=False`): -> `[size[0], size[1], C]`. */
  resizeBilinear(x: Tensor, size: readonly [number, number]): Tensor;
  /** Softmax attention without a mask, one key-value head for all: q `[T, N, H]`, k and v `[S, H]` -> `[T, N, H]`. */
  multiQueryAttention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    options: MultiQueryAttentionOptions,
  ): Tensor;

  // Sound: `[T, D]`.

  /** Causal: `out[t, d] = sum_i x[t - K + 1 + i, d] w[d, 0, i]`, zeros before the start. */
  depthwiseConv1d(x: Tensor, w: Weight): Tensor;
  /**
   * Group norm over everything seen so far: x `[T, F, C]`, vector `[C]`. Row
   * t is centred by the mean of rows 0..t and divided by sqrt(variance + eps),
   * where the variance at t is the running sum of each row's squared distance
   * from its own running mean, over the count.
   */
  cumulativeGroupNorm(x: Tensor, weight: Weight, eps: number): Tensor;
  /**
   * Local attention with relative positions: q, k, v `[T, N, H]`, positions
   * `[past + future + 1, N, H]`, valid with T elements (1 = a frame that may be seen).
   * The score of key s for row t is `q[t] . k[s] + q[t] . positions[s - t + past]`,
   * soft-capped; keys outside `t - past .. t + future`, outside the clip or
   * not valid are left out. A row that sees none gives zeros.
   */
  relativeAttention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    positions: Tensor,
    valid: Tensor,
    options: RelativeAttentionOptions,
  ): Tensor;
}
