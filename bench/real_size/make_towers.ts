// Makes a checkpoint with the towers of the released models at their size,
// with random weights in bfloat16, beside a decoder of two narrow layers.
import type { JsonObject } from "../../src/core/json.ts";
import {
  type Gemma3nConfig,
  parseGemma3nConfig,
} from "../../src/models/gemma3n/config.ts";
import type { Platform } from "../../src/platform/platform.ts";
import { decoderShapes, towerShapes } from "./checkpoint_shapes.ts";
import { writeCheckpoint } from "./write_checkpoint.ts";

/** The towers' own fields are those of Transformers' defaults. */
const CONFIG: JsonObject = {
  model_type: "gemma3n",
  image_token_id: 2049,
  audio_token_id: 2177,
  vision_config: { vocab_offset: 2048 },
  audio_config: { vocab_offset: 2176 },
  text_config: {
    vocab_size: 2304,
    vocab_size_per_layer_input: 2048,
    hidden_size: 2048,
    intermediate_size: 256,
    num_hidden_layers: 2,
    num_kv_shared_layers: 0,
    layer_types: ["sliding_attention", "full_attention"],
    num_attention_heads: 2,
    num_key_value_heads: 1,
    head_dim: 32,
    hidden_size_per_layer_input: 32,
  },
};

/** What the towers of a checkpoint are. */
export const TOWERS: Gemma3nConfig = parseGemma3nConfig(CONFIG);

/** Writes config.json and model.safetensors into a folder, unless they are there. */
export async function makeTowers(
  platform: Platform,
  folder: string,
): Promise<void> {
  const shapes = new Map([
    ...decoderShapes(TOWERS, "model.language_model."),
    ...towerShapes(TOWERS, "model."),
  ]);
  await writeCheckpoint(platform, folder, { config: CONFIG, shapes });
}
