// Names of the text decoder's tensors: in a GGUF file of the architecture
// "gemma3n" and in a checkpoint of Transformers.

/** Architecture of the files read and written here. */
export const ARCHITECTURE = "gemma3n";
/** In front of the decoder's names in Transformers' `Gemma3nForCausalLM`. */
export const DECODER_PREFIX = "model.";
/** The token embeddings, whose rows are the vocabulary. */
export const TOKEN_EMBEDDING = "token_embd.weight";
/** The per-layer embedding table. */
export const PER_LAYER_EMBEDDING = "per_layer_token_embd.weight";

/** A tensor in both worlds; names below {@link DECODER_PREFIX} and `layers.N.`. */
export interface NamePair {
  readonly gguf: string;
  readonly transformers: string;
}

/** Tensors outside the layers. */
export const MODEL_NAMES: readonly NamePair[] = [
  pair("token_embd.weight", "embed_tokens.weight"),
  pair("per_layer_token_embd.weight", "embed_tokens_per_layer.weight"),
  pair("per_layer_model_proj.weight", "per_layer_model_projection.weight"),
  pair("per_layer_proj_norm.weight", "per_layer_projection_norm.weight"),
  pair("output_norm.weight", "norm.weight"),
];

/**
 * Lists of matrices, `altup_projections.0.weight` and so on, which a GGUF file
 * holds as one tensor with a dimension more in front.
 */
export const STACKED_NAMES: readonly NamePair[] = [
  pair("altup_proj.weight", "altup_projections"),
  pair("altup_unembd_proj.weight", "altup_unembed_projections"),
];

/** Tensors of a layer: below `blk.N.` and `layers.N.`. */
export const LAYER_NAMES: readonly NamePair[] = [
  pair("attn_norm.weight", "input_layernorm.weight"),
  pair("attn_q.weight", "self_attn.q_proj.weight"),
  pair("attn_k.weight", "self_attn.k_proj.weight"),
  pair("attn_v.weight", "self_attn.v_proj.weight"),
  pair("attn_q_norm.weight", "self_attn.q_norm.weight"),
  pair("attn_k_norm.weight", "self_attn.k_norm.weight"),
  pair("attn_output.weight", "self_attn.o_proj.weight"),
  pair("post_attention_norm.weight", "post_attention_layernorm.weight"),
  pair("ffn_norm.weight", "pre_feedforward_layernorm.weight"),
  pair("ffn_gate.weight", "mlp.gate_proj.weight"),
  pair("ffn_up.weight", "mlp.up_proj.weight"),
  pair("ffn_down.weight", "mlp.down_proj.weight"),
  pair("post_ffw_norm.weight", "post_feedforward_layernorm.weight"),
  pair("inp_gate.weight", "per_layer_input_gate.weight"),
  pair("proj.weight", "per_layer_projection.weight"),
  pair("post_norm.weight", "post_per_layer_input_norm.weight"),
  pair("altup_router_norm.weight", "altup.router_norm.weight"),
  pair("altup_router.weight", "altup.modality_router.weight"),
  pair("altup_predict_coef.weight", "altup.prediction_coefs.weight"),
  pair("altup_correct_coef.weight", "altup.correction_coefs.weight"),
  pair("altup_correct_scale.weight", "altup.correct_output_scale"),
  pair("laurel_l.weight", "laurel.linear_left.weight"),
  pair("laurel_r.weight", "laurel.linear_right.weight"),
  pair("laurel_post_norm.weight", "laurel.post_laurel_norm.weight"),
];

/** Where a tensor of a GGUF file is in a checkpoint of Transformers. */
export interface TransformersName {
  readonly name: string;
  /** Whether it is a stack of tensors `name.0.weight`, `name.1.weight` and so on. */
  readonly isStacked: boolean;
}

/** Name in Transformers of a tensor of a GGUF file; `undefined` for one that Gemma 3n has not. */
export function transformersName(gguf: string): TransformersName | undefined {
  const layer = /^blk\.(\d+)\.(.+)$/.exec(gguf);
  if (layer !== null) {
    const found = find(LAYER_NAMES, layer[2]!);
    return found === undefined ? undefined : {
      name: `${DECODER_PREFIX}layers.${layer[1]}.${found}`,
      isStacked: false,
    };
  }
  const stacked = find(STACKED_NAMES, gguf);
  const name = stacked ?? find(MODEL_NAMES, gguf);
  return name === undefined
    ? undefined
    : { name: DECODER_PREFIX + name, isStacked: stacked !== undefined };
}

function find(pairs: readonly NamePair[], gguf: string): string | undefined {
  return pairs.find((names) => names.gguf === gguf)?.transformers;
}

function pair(gguf: string, transformers: string): NamePair {
  return { gguf, transformers };
}
