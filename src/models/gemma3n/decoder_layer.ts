// One decoder layer. Transformers' Gemma3nTextDecoderLayer.
import type { Ops, Tensor, Weight } from "../../ops/ops.ts";
import type { WeightLoader } from "../../ops/weight_loader.ts";
import {
  altUpCorrect,
  altUpPredict,
  type AltUpWeights,
  altUpWeights,
} from "./altup.ts";
import {
  type AttentionContext,
  type AttentionWeights,
  attentionWeights,
  selfAttention,
} from "./attention.ts";
import type { Gemma3nTextConfig } from "./config.ts";
import { laurelBlock, type LaurelWeights, laurelWeights } from "./laurel.ts";
import { mlp, type MlpWeights, mlpWeights } from "./mlp.ts";

/** Weights of a decoder layer. */
export interface DecoderLayerWeights {
  readonly altup: AltUpWeights;
  readonly laurel: LaurelWeights;
  readonly selfAttn: AttentionWeights;
  readonly mlp: MlpWeights;
  readonly inputLayernorm: Weight; // [D], like the norms below
  readonly postAttentionLayernorm: Weight;
  readonly preFeedforwardLayernorm: Weight;
  readonly postFeedforwardLayernorm: Weight;
  readonly perLayerInputGate: Weight; // [P, D]
  readonly perLayerProjection: Weight; // [D, P]
  readonly postPerLayerInputNorm: Weight; // [D]
}

/** What a layer needs beside its weights. */
export interface DecoderContext extends AttentionContext {
  /** The layer's own slice of the per-layer inputs, `[T, P]`. */
  readonly perLayerInput: Tensor;
}

/** Declares the weights of one layer, below `layers.<i>.`. */
export function decoderLayerWeights(
  load: WeightLoader,
  config: Gemma3nTextConfig,
  layer: number,
): DecoderLayerWeights {
  const { hiddenSize: D, hiddenSizePerLayerInput: P } = config;
  const norm = (name: string) => load.weight("vector", `${name}.weight`, [D]);
  return {
    altup: altUpWeights(load.scope("altup."), config),
    laurel: laurelWeights(load.scope("laurel."), config),
    selfAttn: attentionWeights(load.scope("self_attn."), config, layer),
    mlp: mlpWeights(load.scope("mlp."), config, layer),
    inputLayernorm: norm("input_layernorm"),
    postAttentionLayernorm: norm("post_attention_layernorm"),
    preFeedforwardLayernorm: norm("pre_feedforward_layernorm"),
    postFeedforwardLayernorm: norm("post_feedforward_layernorm"),
    perLayerInputGate: load.weight("matrix", "per_layer_input_gate.weight", [
      P,
      D,
    ]),
    perLayerProjection: load.weight("matrix", "per_layer_projection.weight", [
      D,
      P,
    ]),
    postPerLayerInputNorm: norm("post_per_layer_input_norm"),
  };
}

/**
 * `[A, T, D] -> [A, T, D]`.
 *
 * Only the active AltUp stream pays for attention and MLP: the streams are
 * predicted before, and all corrected after.
 */
export function decoderLayer(
  ops: Ops,
  w: DecoderLayerWeights,
  config: Gemma3nTextConfig,
  x: Tensor,
  ctx: DecoderContext,
): Tensor {
  const fused = ops.decoderLayer?.(w, config, x, ctx);
  if (fused !== undefined) return fused;
  const eps = config.rmsNormEps;
  const predicted = altUpPredict(ops, w.altup, config, x);
  const active = ops.at(predicted, config.altupActiveIdx); // [T, D]
  const h = ops.rmsNorm(active, w.inputLayernorm, eps);

  const laurel = laurelBlock(ops, w.laurel, config, h);
  const attn = ops.rmsNorm(
    selfAttention(ops, w.selfAttn, config, h, ctx),
    w.postAttentionLayernorm,
    eps,
  );
  const mid = ops.addScaled(ops.add(active, attn), laurel, Math.SQRT1_2);

  const ffw = ops.rmsNorm(
    mlp(ops, w.mlp, ops.rmsNorm(mid, w.preFeedforwardLayernorm, eps)),
    w.postFeedforwardLayernorm,
    eps,
  );
  const corrected = altUpCorrect(
    ops,
    w.altup,
    config,
    predicted,
    ops.add(mid, ffw),
  );
  return addPerLayerInput(ops, w, config, corrected, ctx.perLayerInput);
}

// The active stream gates the layer's own embedding of the token, and the
// result joins every stream but the first (not: but the active one).
function addPerLayerInput(
  ops: Ops,
  w: DecoderLayerWeights,
  config: Gemma3nTextConfig,
  x: Tensor,
  perLayerInput: Tensor,
): Tensor {
  let active = ops.at(x, config.altupActiveIdx);
  if (config.altupCorrectScale) {
    active = ops.mulVector(active, w.altup.correctOutputScale);
  }
  const gate = ops.matmul(active, w.perLayerInputGate);
  const y = ops.matmul(ops.geluMul(gate, perLayerInput), w.perLayerProjection);
  return ops.addToStreams(
    x,
    ops.rmsNorm(y, w.postPerLayerInputNorm, config.rmsNormEps),
  );
}
