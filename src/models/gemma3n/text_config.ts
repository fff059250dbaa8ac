// Configuration of the text decoder: names and defaults of Transformers'
// Gemma3nTextConfig, in camelCase.
import { CheckpointError, UnsupportedError } from "../../core/errors.ts";
import type { JsonFields } from "../../core/json_fields.ts";

/** Kind of attention of a decoder layer. */
export type LayerType = "sliding_attention" | "full_attention";

/** Rotary embedding of one {@link LayerType}. */
export interface RopeParameters {
  /** Base of the geometric series of wavelengths. */
  readonly ropeTheta: number;
}

/** The text decoder: Transformers' `Gemma3nTextConfig`. */
export interface Gemma3nTextConfig {
  /** V: all ids, those of pictures and sound included. */
  readonly vocabSize: number;
  /** D. */
  readonly hiddenSize: number;
  /** FFN width of each layer. */
  readonly intermediateSize: readonly number[];
  /** L. */
  readonly numHiddenLayers: number;
  /** N. */
  readonly numAttentionHeads: number;
  /** K. */
  readonly numKeyValueHeads: number;
  /** H. */
  readonly headDim: number;
  /** Tokens of the longest sequence the model was made for. */
  readonly maxPositionEmbeddings: number;
  /** Added to the mean square in all norms. */
  readonly rmsNormEps: number;
  /** Keys a row of a sliding layer sees, itself included. */
  readonly slidingWindow: number;
  /** Kind of attention of each layer. */
  readonly layerTypes: readonly LayerType[];
  /** Rotary embedding of each kind of layer. */
  readonly ropeParameters: Readonly<Record<LayerType, RopeParameters>>;
  /** Final logits become cap * tanh(logit / cap); `undefined` for none. */
  readonly finalLogitSoftcapping: number | undefined;
  /** Rows of the per-layer embedding table. */
  readonly vocabSizePerLayerInput: number;
  /** P. */
  readonly hiddenSizePerLayerInput: number;
  /** The stream that attention and MLP compute on. */
  readonly altupActiveIdx: number;
  /** Whether a learned scale is applied after the correction. */
  readonly altupCorrectScale: boolean;
  /** A. */
  readonly altupNumInputs: number;
  /** Layers at the end that use the cache of an earlier layer. */
  readonly numKvSharedLayers: number;
  /** R. */
  readonly laurelRank: number;
  /** Share of the FFN's gate that the Gaussian top-k sets to zero, by layer; 0 for none. */
  readonly activationSparsityPattern: readonly number[];
  /** Id before every text. */
  readonly bosTokenId: number;
  /** Ids that end an answer. */
  readonly eosTokenId: readonly number[];
  /** Id that fills up shorter sequences of a batch. */
  readonly padTokenId: number;
  /** Whether the head is the token embedding; of a decoder alone. */
  readonly tieWordEmbeddings: boolean;
}

/**
 * Reads a text_config.
 *
 * @throws {CheckpointError} When a field is missing, of another type or out of range.
 * @throws {UnsupportedError} When an activation, layer or rope type is not Gemma 3n's.
 */
export function parseTextConfig(fields: JsonFields): Gemma3nTextConfig {
  const one = { min: 1 };
  // The bound keeps a damaged count from becoming a huge list.
  const layers = fields.integer("num_hidden_layers", 35, { min: 1, max: 1024 });
  const activation = fields.string("hidden_activation", "gelu_pytorch_tanh");
  if (activation !== "gelu_pytorch_tanh") {
    throw new UnsupportedError(
      `Cannot use the activation "${activation}" of ${fields.where}: "gelu_pytorch_tanh" is supported`,
    );
  }
  if (fields.boolean("attention_bias", false)) {
    throw new UnsupportedError(
      `Cannot use ${fields.where}: "attention_bias" is true, Gemma 3n has no biases`,
    );
  }
  const config: Gemma3nTextConfig = {
    vocabSize: fields.integer("vocab_size", 262_400, one),
    hiddenSize: fields.integer("hidden_size", 2048, one),
    intermediateSize: parseIntermediateSize(fields, layers),
    numHiddenLayers: layers,
    numAttentionHeads: fields.integer("num_attention_heads", 8, one),
    numKeyValueHeads: fields.integer("num_key_value_heads", 2, one),
    headDim: fields.integer("head_dim", 256, { min: 2 }),
    maxPositionEmbeddings: fields.integer(
      "max_position_embeddings",
      32_768,
      one,
    ),
    rmsNormEps: fields.number("rms_norm_eps", 1e-6, { min: 0 }),
    slidingWindow: fields.integer("sliding_window", 512, one),
    layerTypes: parseLayerTypes(fields, layers),
    ropeParameters: parseRopeParameters(fields),
    finalLogitSoftcapping: fields.number("final_logit_softcapping", 30) ||
      undefined,
    vocabSizePerLayerInput: fields.integer(
      "vocab_size_per_layer_input",
      262_144,
      one,
    ),
    hiddenSizePerLayerInput: fields.integer(
      "hidden_size_per_layer_input",
      256,
      one,
    ),
    altupActiveIdx: fields.integer("altup_active_idx", 0),
    altupCorrectScale: fields.boolean("altup_correct_scale", true),
    altupNumInputs: fields.integer("altup_num_inputs", 4, one),
    numKvSharedLayers: fields.integer("num_kv_shared_layers", 15),
    laurelRank: fields.integer("laurel_rank", 64, one),
    activationSparsityPattern: parseSparsity(fields, layers),
    bosTokenId: fields.integer("bos_token_id", 2),
    eosTokenId: Array.isArray(fields.get("eos_token_id"))
      ? fields.integers("eos_token_id")
      : [fields.integer("eos_token_id", 1)],
    padTokenId: fields.integer("pad_token_id", 0),
    tieWordEmbeddings: fields.boolean("tie_word_embeddings", true),
  };
  checkTextConfig(config, fields.where);
  return config;
}

function checkTextConfig(config: Gemma3nTextConfig, where: string): void {
  const fail = (message: string): never => {
    throw new CheckpointError(`Cannot use ${where}: ${message}`);
  };
  const { numAttentionHeads, numKeyValueHeads, headDim } = config;
  if (numAttentionHeads % numKeyValueHeads !== 0) {
    fail(
      `${numAttentionHeads} attention heads cannot share ${numKeyValueHeads} key-value heads evenly`,
    );
  }
  if (headDim % 2 !== 0) {
    fail(`"head_dim" is ${headDim}, wanted an even number`);
  }
  if (config.altupActiveIdx >= config.altupNumInputs) {
    fail(
      `"altup_active_idx" is ${config.altupActiveIdx}, there are ${config.altupNumInputs} streams`,
    );
  }
  const owning = config.numHiddenLayers - config.numKvSharedLayers;
  if (owning < 0) {
    fail(
      `${config.numKvSharedLayers} layers share keys and values, there are ${config.numHiddenLayers}`,
    );
  }
  const types = new Set(config.layerTypes.slice(0, owning));
  for (const type of config.layerTypes.slice(owning)) {
    if (owning > 0 && !types.has(type)) {
      fail(
        `a ${type} layer shares keys and values, but no earlier one owns any`,
      );
    }
  }
}

function parseIntermediateSize(fields: JsonFields, layers: number): number[] {
  return Array.isArray(fields.get("intermediate_size"))
    ? fields.integers("intermediate_size", layers, { min: 1 })
    : Array<number>(layers).fill(
      fields.integer("intermediate_size", 16_384, { min: 1 }),
    );
}

function parseLayerTypes(fields: JsonFields, layers: number): LayerType[] {
  if (!fields.has("layer_types")) {
    return Array.from(
      { length: layers },
      (_, i) => (i + 1) % 5 === 0 ? "full_attention" : "sliding_attention",
    );
  }
  return fields.strings("layer_types", layers).map((type) => {
    if (type !== "sliding_attention" && type !== "full_attention") {
      throw new UnsupportedError(
        `Cannot use a layer of type "${type}" in ${fields.where}: "sliding_attention" and "full_attention" are supported`,
      );
    }
    return type;
  });
}

// Checkpoints of 2025 have rope_theta and rope_local_base_freq beside each
// other instead of rope_parameters.
function parseRopeParameters(
  fields: JsonFields,
): Record<LayerType, RopeParameters> {
  const all = fields.object("rope_parameters");
  const read = (type: LayerType, legacy: string, theta: number) => {
    const rope = all.object(type);
    const ropeType = rope.string("rope_type", "default");
    if (ropeType !== "default") {
      throw new UnsupportedError(
        `Cannot use the rope type "${ropeType}" of ${rope.where}: "default" is supported`,
      );
    }
    const fallback = fields.number(legacy, theta, { min: 1 });
    return { ropeTheta: rope.number("rope_theta", fallback, { min: 1 }) };
  };
  const scaling = fields.object("rope_scaling");
  const scalingType = scaling.string(
    scaling.has("rope_type") ? "rope_type" : "type",
    "default",
  );
  if (fields.has("rope_scaling") && scalingType !== "default") {
    throw new UnsupportedError(
      `Cannot use "rope_scaling" of ${fields.where}: its rope type is "${scalingType}", "default" is supported`,
    );
  }
  return {
    sliding_attention: read(
      "sliding_attention",
      "rope_local_base_freq",
      10_000,
    ),
    full_attention: read("full_attention", "rope_theta", 1_000_000),
  };
}

function parseSparsity(fields: JsonFields, layers: number): number[] {
  const range = { min: 0, max: 1 };
  const value = fields.get("activation_sparsity_pattern");
  if (Array.isArray(value)) {
    return fields.numbers("activation_sparsity_pattern", layers, range);
  }
  if (value !== undefined) {
    const one = fields.number("activation_sparsity_pattern", 0, range);
    return Array<number>(layers).fill(one);
  }
  const sparse = layers > 10 ? 10 : 0;
  return Array.from({ length: layers }, (_, i) => i < sparse ? 0.95 : 0);
}
