// Gated MLP whose gate keeps only the largest activations in the sparse
// layers. Transformers' Gemma3nTextMLP.
import { normalQuantile } from "../../core/normal.ts";
import type { Ops, Tensor, Weight } from "../../ops/ops.ts";
import type { WeightLoader } from "../../ops/weight_loader.ts";
import type { Gemma3nTextConfig } from "./config.ts";

/** Weights of a layer's MLP. */
export interface MlpWeights {
  readonly gateProj: Weight; // [F, D]
  readonly upProj: Weight; // [F, D]
  readonly downProj: Weight; // [D, F]
  /** Deviations above the mean where the Gaussian top-k cuts; `undefined` in dense layers. */
  readonly cutoffMultiplier: number | undefined;
}

/** Declares the weights below `mlp.` of a layer. */
export function mlpWeights(
  load: WeightLoader,
  config: Gemma3nTextConfig,
  layer: number,
): MlpWeights {
  const D = config.hiddenSize;
  const F = config.intermediateSize[layer]!;
  const sparsity = config.activationSparsityPattern[layer]!;
  const isSparse = sparsity > 0;
  return {
    gateProj: load.weight("matrix", "gate_proj.weight", [F, D]),
    upProj: load.weight("matrix", "up_proj.weight", [F, D], {
      sparseOutput: isSparse,
    }),
    downProj: load.weight("matrix", "down_proj.weight", [D, F], {
      sparseInput: isSparse,
    }),
    cutoffMultiplier: isSparse ? normalQuantile(sparsity) : undefined,
  };
}

/** `down(gelu(gate(x)) * up(x))`, `[T, D] -> [T, D]`. */
export function mlp(ops: Ops, w: MlpWeights, x: Tensor): Tensor {
  const gate = ops.matmul(x, w.gateProj);
  const { cutoffMultiplier } = w;
  const hidden = cutoffMultiplier === undefined
    ? ops.geluMul(gate, ops.matmul(x, w.upProj))
    : ops.gatedMatmul(x, w.upProj, ops.gaussianTopK(gate, cutoffMultiplier));
  return ops.matmul(hidden, w.downProj);
}
