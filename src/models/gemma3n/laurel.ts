// LAuReL (learned augmented residual layer): a low-rank path beside the
// residual. Transformers' Gemma3nTextLaurelBlock.
import type { Ops, Tensor, Weight } from "../../ops/ops.ts";
import type { WeightLoader } from "../../ops/weight_loader.ts";
import type { Gemma3nTextConfig } from "./config.ts";

/** Weights of a layer's LAuReL block. */
export interface LaurelWeights {
  readonly linearLeft: Weight; // [R, D]
  readonly linearRight: Weight; // [D, R]
  readonly postLaurelNorm: Weight; // [D]
}

/** Declares the weights below `laurel.`. */
export function laurelWeights(
  load: WeightLoader,
  config: Gemma3nTextConfig,
): LaurelWeights {
  const { laurelRank: R, hiddenSize: D } = config;
  return {
    linearLeft: load.weight("matrix", "linear_left.weight", [R, D]),
    linearRight: load.weight("matrix", "linear_right.weight", [D, R]),
    postLaurelNorm: load.weight("vector", "post_laurel_norm.weight", [D]),
  };
}

/** `x + norm(right(left(x)))`, `[T, D] -> [T, D]`. */
export function laurelBlock(
  ops: Ops,
  w: LaurelWeights,
  config: Gemma3nTextConfig,
  x: Tensor,
): Tensor {
  const low = ops.matmul(ops.matmul(x, w.linearLeft), w.linearRight);
  return ops.add(x, ops.rmsNorm(low, w.postLaurelNorm, config.rmsNormEps));
}
