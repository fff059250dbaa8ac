// Weights of the text decoder by their names in the checkpoint, below
// `model.language_model.`. The per-layer embedding table is not among them: it
// stays in its file (per_layer_embeddings.ts).
import type { Weight } from "../../ops/ops.ts";
import type { WeightLoader } from "../../ops/weight_loader.ts";
import type { Gemma3nTextConfig } from "./config.ts";
import {
  type DecoderLayerWeights,
  decoderLayerWeights,
} from "./decoder_layer.ts";

/** Weights of the text decoder. */
export interface TextWeights {
  readonly embedTokens: Weight; // [V, D]
  /** The head: [V, D], the token embeddings where it is tied to them. */
  readonly lmHead: Weight;
  readonly perLayerModelProjection: Weight; // [L * P, D]
  readonly perLayerProjectionNorm: Weight; // [P]
  readonly altupProjections: readonly Weight[]; // A - 1 of [D, D]
  readonly altupUnembedProjections: readonly Weight[]; // A - 1 of [D, D]
  readonly layers: readonly DecoderLayerWeights[];
  readonly norm: Weight; // [D]
}

/** Name of the per-layer embedding table, `[Vp, L * P]`. */
export const PER_LAYER_TABLE = "embed_tokens_per_layer.weight";

/** Declares all weights of the decoder; `loadHead` declares a head of its own. */
export function textWeights(
  load: WeightLoader,
  config: Gemma3nTextConfig,
  loadHead?: () => Weight,
): TextWeights {
  const { hiddenSize: D, numHiddenLayers: L, hiddenSizePerLayerInput: P } =
    config;
  const streams = (name: string) =>
    Array.from(
      { length: config.altupNumInputs - 1 },
      (_, i) => load.weight("matrix", `${name}.${i}.weight`, [D, D]),
    );
  const embedTokens = load.weight("matrix", "embed_tokens.weight", [
    config.vocabSize,
    D,
  ]);
  return {
    embedTokens,
    lmHead: loadHead?.() ?? embedTokens,
    perLayerModelProjection: load.weight(
      "matrix",
      "per_layer_model_projection.weight",
      [L * P, D],
    ),
    perLayerProjectionNorm: load.weight(
      "vector",
      "per_layer_projection_norm.weight",
      [P],
    ),
    altupProjections: streams("altup_projections"),
    altupUnembedProjections: streams("altup_unembed_projections"),
    layers: Array.from(
      { length: L },
      (_, i) => decoderLayerWeights(load.scope(`layers.${i}.`), config, i),
    ),
    norm: load.weight("vector", "norm.weight", [D]),
  };
}

/** Prefixes of weights that a KV-shared layer may have in a checkpoint, and does not use. */
export function unusedTextPrefixes(
  config: Gemma3nTextConfig,
  firstSharedLayer: number,
): string[] {
  const prefixes: string[] = [];
  for (let i = firstSharedLayer; i < config.numHiddenLayers; i++) {
    for (const part of ["k_proj", "v_proj", "k_norm", "v_norm"]) {
      prefixes.push(`layers.${i}.self_attn.${part}.`);
    }
  }
  return prefixes;
}
