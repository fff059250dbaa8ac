// Makes a checkpoint with the towers of the released models at their size,
// with random weights in bfloat16, beside a decoder of two narrow layers.
import type { JsonObject } from "../../src/core/json.ts";
import { numel, type Shape } from "../../src/core/shape.ts";
import { parseGemma3nConfig } from "../../src/models/gemma3n/config.ts";
import type { Platform } from "../../src/platform/platform.ts";
import { decoderShapes, towerShapes } from "./checkpoint_shapes.ts";
import { RandomValues, type Spread } from "./random_values.ts";

const CHUNK_BYTES = 2 ** 23;

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

/** Writes config.json and model.safetensors into a folder, unless they are there. */
export async function makeTowers(
  platform: Platform,
  folder: string,
): Promise<void> {
  const path = `${folder}/model.safetensors`;
  if (await platform.stat(path) === "file") return;
  const config = parseGemma3nConfig(CONFIG);
  const shapes = new Map([
    ...decoderShapes(config, "model.language_model."),
    ...towerShapes(config, "model."),
  ]);
  const json = await platform.createFile!(`${folder}/config.json`);
  await json.write(new TextEncoder().encode(JSON.stringify(CONFIG)));
  await json.finish();
  const file = await platform.createFile!(path);
  await file.write(header(shapes));
  const chunk = new Uint8Array(CHUNK_BYTES);
  const random = new RandomValues(1);
  for (const shape of shapes.values()) {
    const all = 2 * numel(shape);
    for (let done = 0; done < all; done += CHUNK_BYTES) {
      const bytes = chunk.subarray(0, Math.min(CHUNK_BYTES, all - done));
      random.fill(bytes, "bf16", spreadOf(shape));
      await file.write(bytes);
    }
  }
  await file.finish();
}

/** Ones for norms; filters and matrices spread by what each output sums. */
function spreadOf(shape: Shape): Spread {
  return shape.length === 1
    ? { mean: 1, deviation: 0.1 }
    : { mean: 0, deviation: (numel(shape) / shape[0]!) ** -0.5 };
}

function header(shapes: ReadonlyMap<string, Shape>): Uint8Array {
  const tensors: Record<string, JsonObject> = {};
  let offset = 0;
  for (const [name, shape] of shapes) {
    const end = offset + 2 * numel(shape);
    tensors[name] = { dtype: "BF16", shape, data_offsets: [offset, end] };
    offset = end;
  }
  const text = JSON.stringify(tensors);
  const padded = text.padEnd(Math.ceil(text.length / 8) * 8);
  const bytes = new Uint8Array(8 + padded.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded.length), true);
  bytes.set(new TextEncoder().encode(padded), 8);
  return bytes;
}
