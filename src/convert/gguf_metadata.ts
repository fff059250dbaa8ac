// Metadata of a GGUF file: what llama.cpp needs to load the model, and what the
// format has no key for under `g3n.`.
import type { ComputeDtype } from "../core/dtype.ts";
import type { JsonObject } from "../core/json.ts";
import { normalQuantile } from "../core/normal.ts";
import {
  EOS_IDS_KEY,
  PER_LAYER_VOCABULARY_KEY,
  SAMPLING_KEYS,
} from "../io/gguf_config.ts";
import type { GgufMetadataValue } from "../io/gguf_header_writer.ts";
import { ARCHITECTURE } from "../io/gguf_names.ts";
import type { Gemma3nTextConfig } from "../models/gemma3n/config.ts";

/** llama.cpp's numbers of what most tensors of a file are in. */
const FILE_TYPES: Readonly<Record<ComputeDtype, number>> = {
  f32: 0,
  f16: 1,
  q4: 2,
  q8: 7,
};
const QUANTIZATION_VERSION = 2;

/** What a file says of its model. */
export interface GgufModel {
  /** For people. */
  readonly name: string;
  readonly config: Gemma3nTextConfig;
  /** Parsed generation_config.json; `undefined` when there is none. */
  readonly generationConfig: JsonObject | undefined;
  readonly dtype: ComputeDtype;
}

/** Metadata without the tokenizer's. */
export function ggufModelMetadata(
  { name, config, generationConfig, dtype }: GgufModel,
): Map<string, GgufMetadataValue> {
  const metadata = new Map<string, GgufMetadataValue>([
    ["general.architecture", ARCHITECTURE],
    ["general.type", "model"],
    ["general.name", name],
    ...fileFormatMetadata(dtype),
    ...sampling(generationConfig),
    [PER_LAYER_VOCABULARY_KEY, { uint32: config.vocabSizePerLayerInput }],
    [EOS_IDS_KEY, Uint32Array.from(eosIds(config, generationConfig))],
  ]);
  for (const [key, value] of architecture(config)) {
    metadata.set(`${ARCHITECTURE}.${key}`, value);
  }
  return metadata;
}

/** What most tensors of a file are in. */
export function fileFormatMetadata(
  dtype: ComputeDtype,
): [string, GgufMetadataValue][] {
  return [
    ["general.file_type", { uint32: FILE_TYPES[dtype] }],
    ["general.quantization_version", { uint32: QUANTIZATION_VERSION }],
  ];
}

/** Ids that end a text: those of generation, else the config's. */
export function eosIds(
  config: Gemma3nTextConfig,
  generationConfig: JsonObject | undefined,
): readonly number[] {
  const given = generationConfig?.["eos_token_id"];
  const ids = (Array.isArray(given) ? given : [given]).filter(
    (id) => typeof id === "number",
  );
  return ids.length > 0 ? ids : config.eosTokenId;
}

function sampling(
  generationConfig: JsonObject | undefined,
): [string, GgufMetadataValue][] {
  if (generationConfig?.["do_sample"] !== true) return [];
  return SAMPLING_KEYS.flatMap(([name, key]) => {
    const value = generationConfig[name];
    if (typeof value !== "number") return [];
    return [[key, name === "top_k" ? { uint32: value } : { float32: value }]];
  });
}

function architecture(
  config: Gemma3nTextConfig,
): [string, GgufMetadataValue][] {
  const uint32 = (value: number) => ({ uint32: value });
  const float32 = (value: number) => ({ float32: value });
  const { ropeParameters: rope, intermediateSize } = config;
  const isOneWidth = intermediateSize.every((F) => F === intermediateSize[0]);
  return [
    ["vocab_size", uint32(config.vocabSize)],
    ["context_length", uint32(config.maxPositionEmbeddings)],
    ["embedding_length", uint32(config.hiddenSize)],
    [
      "embedding_length_per_layer_input",
      uint32(config.hiddenSizePerLayerInput),
    ],
    ["block_count", uint32(config.numHiddenLayers)],
    [
      "feed_forward_length",
      isOneWidth
        ? uint32(intermediateSize[0]!)
        : Uint32Array.from(intermediateSize),
    ],
    ["attention.head_count", uint32(config.numAttentionHeads)],
    ["attention.head_count_kv", uint32(config.numKeyValueHeads)],
    ["attention.key_length", uint32(config.headDim)],
    ["attention.value_length", uint32(config.headDim)],
    ["attention.layer_norm_rms_epsilon", float32(config.rmsNormEps)],
    ["attention.sliding_window", uint32(config.slidingWindow)],
    [
      "attention.sliding_window_pattern",
      config.layerTypes.map((type) => type === "sliding_attention"),
    ],
    ["attention.shared_kv_layers", uint32(config.numKvSharedLayers)],
    ["rope.freq_base", float32(rope.full_attention.ropeTheta)],
    ["rope.freq_base_swa", float32(rope.sliding_attention.ropeTheta)],
    ["final_logit_softcapping", float32(config.finalLogitSoftcapping ?? 0)],
    ["altup.active_idx", uint32(config.altupActiveIdx)],
    ["altup.num_inputs", uint32(config.altupNumInputs)],
    [
      "activation_sparsity_scale",
      Float32Array.from(
        config.activationSparsityPattern,
        (share) => share > 0 ? normalQuantile(share) : -Infinity,
      ),
    ],
  ];
}
