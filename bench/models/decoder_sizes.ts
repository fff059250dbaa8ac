// Decoders that benches of the GPU time: those that are released, and a tiny one.
import {
  type Gemma3nConfig,
  parseGemma3nConfig,
} from "../../src/models/gemma3n/config.ts";

/** A decoder to time. */
export interface DecoderSize {
  readonly name: string;
  readonly config: Gemma3nConfig;
  readonly contexts: readonly number[];
  readonly prompts: readonly number[];
  readonly chunk: number;
}

function size(
  name: string,
  layers: number,
  intermediate: number,
  shared: number,
): DecoderSize {
  const config = parseGemma3nConfig({
    model_type: "gemma3n_text",
    vocab_size: 262400,
    vocab_size_per_layer_input: 262144,
    hidden_size: 2048,
    intermediate_size: intermediate,
    num_hidden_layers: layers,
    num_attention_heads: 8,
    num_key_value_heads: 2,
    head_dim: 256,
    hidden_size_per_layer_input: 256,
    laurel_rank: 64,
    num_kv_shared_layers: shared,
    sliding_window: 512,
    max_position_embeddings: 32768,
    activation_sparsity_pattern: Array.from(
      { length: layers },
      (_, i) => i < 10 ? 0.95 : 0,
    ),
  });
  return {
    name,
    config,
    contexts: [128, 8192],
    prompts: [512, 2048],
    chunk: 512,
  };
}

/** A decoder for trying a bench out. */
export const TINY: DecoderSize = {
  name: "tiny",
  config: parseGemma3nConfig({
    model_type: "gemma3n_text",
    vocab_size: 512,
    vocab_size_per_layer_input: 512,
    hidden_size: 128,
    intermediate_size: 256,
    num_hidden_layers: 10,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 32,
    hidden_size_per_layer_input: 32,
    laurel_rank: 8,
    num_kv_shared_layers: 5,
    sliding_window: 32,
    max_position_embeddings: 512,
    activation_sparsity_pattern: Array.from(
      { length: 10 },
      (_, i) => i < 2 ? 0.95 : 0,
    ),
  }),
  contexts: [16, 200],
  prompts: [128],
  chunk: 64,
};

/** The released decoders. */
export const E2B: DecoderSize = size("E2B", 30, 8192, 10);
export const E4B: DecoderSize = size("E4B", 35, 16384, 15);
