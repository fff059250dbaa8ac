// config.json and generation_config.json of a GGUF file: what its metadata say,
// in Transformers' spelling. Where a file is silent, the values are those that
// llama.cpp takes for the architecture.
import type { Json, JsonObject } from "../core/json.ts";
import { CheckpointError } from "../core/errors.ts";
import { JsonFields } from "../core/json_fields.ts";
import { normalCdf } from "../core/normal.ts";
import type { GgufHeader } from "./gguf.ts";
import { ARCHITECTURE } from "./gguf_names.ts";
import type { GgufValue } from "./gguf_types.ts";

/** Keys of ours, for what the format has no key for. */
export const PER_LAYER_VOCABULARY_KEY = "g3n.vocab_size_per_layer_input";
/** All ids that end a text. */
export const EOS_IDS_KEY = "g3n.eos_token_ids";

/** Where Transformers keeps sampling defaults, and where a GGUF file does. */
export const SAMPLING_KEYS: readonly (readonly [string, string])[] = [
  ["top_k", "general.sampling.top_k"],
  ["top_p", "general.sampling.top_p"],
  ["temperature", "general.sampling.temp"],
];

/** llama.cpp: layers with keys and values of their own. */
const KV_OWNING_LAYERS = 20;
/** llama.cpp: layers with activation sparsity, and the share that is cut. */
const SPARSE_LAYERS = 10;
const SPARSITY = 0.95;
/** Vocabulary of the released models, and how much of it the per-layer table has. */
const RELEASED_VOCABULARY = 262_400;
const RELEASED_PER_LAYER_VOCABULARY = 262_144;
const MAX_LAYERS = 1024;
/** Digits of a share that was stored as a quantile in float32. */
const SHARE_UNIT = 1e6;

/**
 * The config of the text decoder.
 *
 * @throws {CheckpointError} When a key is missing, of another type or out of range.
 */
export function ggufConfig(header: GgufHeader, file: string): JsonObject {
  const fields = architectureFields(header, file);
  const layers = fields.integer("block_count", undefined, {
    min: 1,
    max: MAX_LAYERS,
  });
  const eps = fields.number("attention.layer_norm_rms_epsilon", 1e-6);
  return {
    model_type: "gemma3n_text",
    vocab_size: vocabularySize(header),
    vocab_size_per_layer_input: perLayerVocabulary(header),
    hidden_size: fields.integer("embedding_length"),
    hidden_size_per_layer_input: fields.integer(
      "embedding_length_per_layer_input",
      256,
    ),
    intermediate_size: perLayer(fields, "feed_forward_length", layers),
    num_hidden_layers: layers,
    num_attention_heads: oneForAll(fields, "attention.head_count", layers),
    num_key_value_heads: oneForAll(fields, "attention.head_count_kv", layers),
    head_dim: fields.integer("attention.key_length", 256),
    max_position_embeddings: fields.integer("context_length"),
    // Stored as float32: 1e-6 would come back as 9.99999997e-7.
    rms_norm_eps: Number(eps.toPrecision(7)),
    sliding_window: fields.integer("attention.sliding_window", 512),
    layer_types: layerTypes(fields, layers),
    rope_parameters: {
      full_attention: { rope_theta: fields.number("rope.freq_base", 1e6) },
      sliding_attention: {
        rope_theta: fields.number("rope.freq_base_swa", 10_000),
      },
    },
    final_logit_softcapping: fields.number("final_logit_softcapping", 30),
    num_kv_shared_layers: fields.integer(
      "attention.shared_kv_layers",
      Math.max(0, layers - KV_OWNING_LAYERS),
    ),
    altup_active_idx: fields.integer("altup.active_idx", 0),
    altup_num_inputs: fields.integer("altup.num_inputs", 4),
    laurel_rank: header.tensors.get("blk.0.laurel_l.weight")?.shape[0] ?? 64,
    activation_sparsity_pattern: sparsity(fields, layers),
    ...tokenIds(header),
  };
}

/** The defaults of generation: ids that end a text, and sampling. */
export function ggufGenerationConfig(header: GgufHeader): JsonObject {
  const sampling: Record<string, Json> = {};
  for (const [name, key] of SAMPLING_KEYS) {
    const value = header.metadata.get(key);
    if (typeof value === "number") {
      sampling[name] = Number(value.toPrecision(7));
    }
  }
  return {
    ...tokenIds(header),
    ...sampling,
    do_sample: Object.keys(sampling).length > 0,
  };
}

/** Rows of the per-layer embedding table that Transformers' has. */
export function perLayerVocabulary(header: GgufHeader): number {
  const given = header.metadata.get(PER_LAYER_VOCABULARY_KEY);
  if (typeof given === "number") return given;
  const all = vocabularySize(header);
  return all === RELEASED_VOCABULARY ? RELEASED_PER_LAYER_VOCABULARY : all;
}

function vocabularySize(header: GgufHeader): number {
  const tokens = header.metadata.get("tokenizer.ggml.tokens");
  return Array.isArray(tokens) ? tokens.length : 0;
}

/** The metadata below `gemma3n.` as fields without that prefix. */
function architectureFields(header: GgufHeader, file: string): JsonFields {
  const where = `the metadata of "${file}"`;
  const prefix = `${ARCHITECTURE}.`;
  const object: Record<string, Json> = {};
  for (const [key, value] of header.metadata) {
    if (!key.startsWith(prefix)) continue;
    object[key.slice(prefix.length)] = toJson(value, key, where);
  }
  return new JsonFields(object, where);
}

function toJson(value: GgufValue, key: string, where: string): Json {
  if (typeof value === "bigint") return Number(value);
  if (typeof value !== "object") return value;
  if (value.length > MAX_LAYERS) {
    throw new CheckpointError(
      `Cannot use ${where}: "${key}" has ${value.length} values, at most ${MAX_LAYERS} are taken`,
    );
  }
  return Array.from<unknown, Json>(value, (item) => {
    if (typeof item === "number" || typeof item === "string") return item;
    return typeof item === "bigint" ? Number(item) : null;
  });
}

function perLayer(fields: JsonFields, key: string, layers: number): number[] {
  return Array.isArray(fields.get(key))
    ? fields.integers(key, layers, { min: 1 })
    : Array<number>(layers).fill(fields.integer(key, undefined, { min: 1 }));
}

function oneForAll(fields: JsonFields, key: string, layers: number): number {
  const [first, ...others] = perLayer(fields, key, layers);
  if (others.some((value) => value !== first)) {
    throw new CheckpointError(
      `Cannot use ${fields.where}: "${key}" differs between layers, Gemma 3n has one for all`,
    );
  }
  return first!;
}

function layerTypes(fields: JsonFields, layers: number): string[] {
  const key = "attention.sliding_window_pattern";
  const isSliding = Array.isArray(fields.get(key))
    ? fields.integers(key, layers).map((flag) => flag !== 0)
    : Array.from({ length: layers }, (_, i) => (i + 1) % 5 !== 0);
  return isSliding.map((sliding) =>
    sliding ? "sliding_attention" : "full_attention"
  );
}

// The file gives quantiles, -Infinity for layers without sparsity.
function sparsity(fields: JsonFields, layers: number): number[] {
  const scales = fields.get("activation_sparsity_scale");
  if (!Array.isArray(scales)) {
    return Array.from(
      { length: layers },
      (_, i) => i < SPARSE_LAYERS ? SPARSITY : 0,
    );
  }
  return scales.map((scale) =>
    Math.round(normalCdf(Number(scale)) * SHARE_UNIT) / SHARE_UNIT
  );
}

/** Ids of the special tokens a model needs to know. */
function tokenIds(header: GgufHeader): Record<string, Json> {
  const id = (name: string, fallback: number) => {
    const value = header.metadata.get(`tokenizer.ggml.${name}_token_id`);
    return typeof value === "number" ? value : fallback;
  };
  return {
    bos_token_id: id("bos", 2),
    eos_token_id: eosIds(header, id("eos", 1), id("eot", -1)),
    pad_token_id: id("padding", 0),
  };
}

// Converters write one id; llama.cpp finds the end of a turn by its text.
function eosIds(header: GgufHeader, eos: number, endOfTurn: number): number[] {
  const { metadata } = header;
  const given = metadata.get(EOS_IDS_KEY);
  if (given instanceof Uint32Array && given.length <= MAX_LAYERS) {
    return [...given];
  }
  const tokens = metadata.get("tokenizer.ggml.tokens");
  const found = Array.isArray(tokens) && metadata.has("tokenizer.chat_template")
    ? tokens.indexOf("<end_of_turn>")
    : -1;
  return [...new Set([eos, endOfTurn, found])].filter((id) => id >= 0);
}
