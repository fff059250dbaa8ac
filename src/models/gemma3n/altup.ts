// AltUp (alternating updates): A streams of hidden states of which a layer
// computes one, predicts the others and corrects all. Transformers'
// Gemma3nTextAltUp; the clipping of coefficients there is for training only.
import type { Ops, Tensor, Weight } from "../../ops/ops.ts";
import type { WeightLoader } from "../../ops/weight_loader.ts";
import type { Gemma3nTextConfig } from "./config.ts";

/** Weights of a layer's AltUp. */
export interface AltUpWeights {
  readonly routerNorm: Weight; // [D]
  readonly modalityRouter: Weight; // [A, D]
  readonly predictionCoefs: Weight; // [A * A, A]
  readonly correctionCoefs: Weight; // [A, A]
  readonly correctOutputScale: Weight; // [D]
}

/** Declares the weights below `altup.`. */
export function altUpWeights(
  load: WeightLoader,
  config: Gemma3nTextConfig,
): AltUpWeights {
  const { altupNumInputs: A, hiddenSize: D } = config;
  return {
    routerNorm: load.weight("vector", "router_norm.weight", [D]),
    modalityRouter: load.weight("matrix", "modality_router.weight", [A, D]),
    predictionCoefs: load.weight("matrix", "prediction_coefs.weight", [
      A * A,
      A,
    ]),
    correctionCoefs: load.weight("matrix", "correction_coefs.weight", [A, A]),
    correctOutputScale: load.weight("vector", "correct_output_scale", [D]),
  };
}

/** Predicts every stream from all of them: `[A, T, D] -> [A, T, D]`. */
export function altUpPredict(
  ops: Ops,
  w: AltUpWeights,
  config: Gemma3nTextConfig,
  x: Tensor,
): Tensor {
  const modalities = routerModalities(
    ops,
    w,
    config,
    ops.at(x, config.altupActiveIdx),
  );
  return ops.altupPredict(x, ops.matmul(modalities, w.predictionCoefs));
}

/** Corrects the predictions `[A, T, D]` by what the layer made of the active one, `[T, D]`. */
export function altUpCorrect(
  ops: Ops,
  w: AltUpWeights,
  config: Gemma3nTextConfig,
  predicted: Tensor,
  activated: Tensor,
): Tensor {
  const modalities = routerModalities(ops, w, config, activated);
  const coefs = ops.matmul(modalities, w.correctionCoefs); // [T, A]
  return ops.altupCorrect(predicted, activated, coefs, config.altupActiveIdx);
}

// [T, D] -> [T, A]
function routerModalities(
  ops: Ops,
  w: AltUpWeights,
  config: Gemma3nTextConfig,
  x: Tensor,
): Tensor {
  const normed = ops.rmsNorm(x, w.routerNorm, config.rmsNormEps);
  const scaled = ops.scale(normed, 1 / config.hiddenSize);
  return ops.tanh(ops.matmul(scaled, w.modalityRouter));
}
