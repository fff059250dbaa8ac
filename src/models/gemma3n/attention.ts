// Self-attention of a decoder layer: normed and rotated queries and keys,
// grouped heads, a window in sliding layers, caches shared by the last
// layers. Transformers' Gemma3nTextAttention.
import type { KvStore, Ops, Segment, Tensor, Weight } from "../../ops/ops.ts";
import type { WeightLoader } from "../../ops/weight_loader.ts";
import type { Gemma3nTextConfig } from "./config.ts";
import { numKvOwningLayers } from "./kv_sharing.ts";
import type { RopeTables } from "./rope.ts";

/** Weights that only a layer with a cache of its own has. */
export interface KeyValueWeights {
  readonly kProj: Weight; // [K * H, D]
  readonly vProj: Weight; // [K * H, D]
  readonly kNorm: Weight; // [H]
}

/** Weights of a layer's attention. */
export interface AttentionWeights {
  readonly qProj: Weight; // [N * H, D]
  readonly qNorm: Weight; // [H]
  readonly oProj: Weight; // [D, N * H]
  /** `undefined` where an earlier layer's keys and values are used. */
  readonly keyValue: KeyValueWeights | undefined;
  /** Keys a row sees; `undefined` in full layers. */
  readonly window: number | undefined;
}

/** Where the rows of a step stand and what they read. */
export interface AttentionContext {
  readonly segments: readonly Segment[];
  /** Store of the layer for each segment; its own or the shared one. */
  readonly stores: readonly KvStore[];
  readonly rope: RopeTables;
}

/** Declares the weights below `self_attn.` of a layer. */
export function attentionWeights(
  load: WeightLoader,
  config: Gemma3nTextConfig,
  layer: number,
): AttentionWeights {
  const { hiddenSize: D, headDim: H } = config;
  const NH = config.numAttentionHeads * H;
  const KH = config.numKeyValueHeads * H;
  const owning = layer < numKvOwningLayers(config);
  return {
    qProj: load.weight("matrix", "q_proj.weight", [NH, D]),
    qNorm: load.weight("vector", "q_norm.weight", [H]),
    oProj: load.weight("matrix", "o_proj.weight", [D, NH]),
    keyValue: owning
      ? {
        kProj: load.weight("matrix", "k_proj.weight", [KH, D]),
        vProj: load.weight("matrix", "v_proj.weight", [KH, D]),
        kNorm: load.weight("vector", "k_norm.weight", [H]),
      }
      : undefined,
    window: config.layerTypes[layer] === "sliding_attention"
      ? config.slidingWindow
      : undefined,
  };
}

/** `[T, D] -> [T, D]`; appends the rows' keys and values where the layer owns a cache. */
export function selfAttention(
  ops: Ops,
  w: AttentionWeights,
  config: Gemma3nTextConfig,
  x: Tensor,
  ctx: AttentionContext,
): Tensor {
  const T = x.shape[0]!;
  const { numAttentionHeads: N, numKeyValueHeads: K, headDim: H } = config;
  const { cos, sin } = ctx.rope;
  const heads = (proj: Weight, n: number) =>
    ops.reshape(ops.matmul(x, proj), [T, n, H]);

  if (w.keyValue !== undefined) {
    const { kProj, vProj, kNorm } = w.keyValue;
    const k = ops.rmsNorm(heads(kProj, K), kNorm, config.rmsNormEps);
    const v = ops.rmsNorm(heads(vProj, K), undefined, config.rmsNormEps);
    ops.appendKv(ctx.stores, ctx.segments, ops.rope(k, cos, sin), v);
  }
  const q = ops.rmsNorm(heads(w.qProj, N), w.qNorm, config.rmsNormEps);
  const y = ops.attention(
    ops.rope(q, cos, sin),
    ctx.stores,
    ctx.segments,
    // The norms of q and k stand in for the usual 1 / sqrt(H).
    { heads: N, window: w.window, scale: 1 },
  );
  return ops.matmul(ops.reshape(y, [T, N * H]), w.oProj);
}
