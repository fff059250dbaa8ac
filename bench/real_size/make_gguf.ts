// Makes a GGUF file of a released model's shape with random weights, which this
// library and llama.cpp both load. Blocks go to the file as they are made.
import { planGguf, type PlannedTensor } from "../../src/convert/gguf_plan.ts";
import { ggufModelMetadata } from "../../src/convert/gguf_metadata.ts";
import { ggufTokenizerMetadata } from "../../src/convert/gguf_vocabulary.ts";
import { BLOCK_SIZES, isBlockDtype } from "../../src/core/dtype.ts";
import { type JsonObject, parseJsonObject } from "../../src/core/json.ts";
import type { Checkpoint } from "../../src/io/checkpoint.ts";
import {
  encodeGgufHeader,
  ggufTensorBytes,
  paddingAfter,
} from "../../src/io/gguf_header_writer.ts";
import { DECODER_PREFIX } from "../../src/io/gguf_names.ts";
import { parseGemma3nConfig } from "../../src/models/gemma3n/config.ts";
import type { Platform } from "../../src/platform/platform.ts";
import { decoderShapes } from "./checkpoint_shapes.ts";
import { RandomValues, type Spread } from "./random_values.ts";

/**
 * Number formats of a file: `q4_0` has blocks of four bits wherever the format
 * has blocks at all, as in the smallest files of llama.cpp; `q4` is what
 * `convertToGguf()` writes, with embeddings in eight bits; `q8_0` has blocks of
 * eight.
 */
export type FileFormat = "q4_0" | "q4" | "q8_0";

/** Released shapes. */
export type ModelSize = "e2b" | "e4b";

/** Layers, FFN width and layers that share keys and values; all else is alike. */
const SIZES: Readonly<Record<ModelSize, readonly [number, number, number]>> = {
  e2b: [30, 8192, 10],
  e4b: [35, 16384, 15],
};
const TOKENIZER = "../../tests/reference/tiny/";
const CHUNK_VALUES = 2 ** 22;
/** Norms after a block are below 1, so that rounding does not grow from layer to layer without bounds. */
const BLOCK_NORM = 0.4;
const KEY_NORM = 0.3;
const FINAL_NORM = 6;
const VECTOR_DEVIATION = 0.1;

/** config.json of a decoder of a released size. */
export function decoderConfig(size: ModelSize): JsonObject {
  const [layers, width, shared] = SIZES[size];
  return {
    model_type: "gemma3n_text",
    vocab_size: 262_400,
    vocab_size_per_layer_input: 262_144,
    hidden_size: 2048,
    hidden_size_per_layer_input: 256,
    intermediate_size: width,
    num_hidden_layers: layers,
    num_attention_heads: 8,
    num_key_value_heads: 2,
    num_kv_shared_layers: shared,
    head_dim: 256,
    max_position_embeddings: 32_768,
    sliding_window: 512,
    laurel_rank: 64,
    bos_token_id: 2,
    eos_token_id: 1,
    pad_token_id: 0,
  };
}

/** Writes the file, unless one of its length is there; gives its bytes. */
export async function makeGguf(
  platform: Platform,
  path: string,
  size: ModelSize,
  format: FileFormat,
): Promise<number> {
  const config = parseGemma3nConfig(decoderConfig(size));
  const dtype = format === "q8_0" ? "q8" : "q4";
  const shapes = decoderShapes(config, DECODER_PREFIX);
  // A plan asks for shapes alone.
  const checkpoint = {
    has: (name: string) => shapes.has(name),
    get: (name: string) => ({ shape: shapes.get(name)! }),
  } as unknown as Checkpoint;
  const planned = planGguf(
    { checkpoint, prefix: DECODER_PREFIX, config: config.textConfig },
    dtype,
  );
  const tensors = format === "q4_0" ? planned.map(inFourBits) : planned;
  const metadata = new Map([
    ...ggufModelMetadata({
      name: `synthetic ${size}`,
      config: config.textConfig,
      generationConfig: undefined,
      dtype,
    }),
    ...ggufTokenizerMetadata(
      {
        tokenizerJson: await json(platform, "tokenizer.json"),
        tokenizerConfig: await json(platform, "tokenizer_config.json"),
        chatTemplate: undefined,
      },
      config.textConfig.vocabSize,
      1,
    ),
  ]);
  const header = encodeGgufHeader(metadata, tensors);
  if (await fileSize(platform, path) === header.fileBytes) {
    return header.fileBytes;
  }
  const file = await platform.createFile!(path);
  await file.write(header.bytes);
  for (const [i, tensor] of tensors.entries()) {
    await writeTensor(tensor, new RandomValues(i + 1), (b) => file.write(b));
  }
  await file.finish();
  return header.fileBytes;
}

function inFourBits(tensor: PlannedTensor): PlannedTensor {
  return tensor.dtype === "q8_0" ? { ...tensor, dtype: "q4_0" } : tensor;
}

async function writeTensor(
  tensor: PlannedTensor,
  random: RandomValues,
  write: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  const { dtype } = tensor;
  const all = ggufTensorBytes(tensor);
  const block = isBlockDtype(dtype) ? BLOCK_SIZES[dtype].bytes : 4;
  const chunk = new Uint8Array(Math.min(all, CHUNK_VALUES / 4 * block));
  const spread = spreadOf(tensor);
  for (let done = 0; done < all; done += chunk.byteLength) {
    const bytes = chunk.subarray(0, Math.min(chunk.byteLength, all - done));
    random.fill(bytes, dtype, spread);
    await write(bytes);
  }
  await write(new Uint8Array(paddingAfter(all)));
}

/** Values that keep activations at their usual size. */
function spreadOf({ name, shape }: PlannedTensor): Spread {
  const base = name.replace(/^blk\.\d+\./, "").replace(/\.weight$/, "");
  const around = (mean: number) => ({
    mean,
    deviation: VECTOR_DEVIATION * mean,
  });
  switch (base) {
    case "post_attention_norm":
    case "post_ffw_norm":
    case "post_norm":
    case "laurel_post_norm":
      return around(BLOCK_NORM);
    case "attn_k_norm":
      return around(KEY_NORM);
    case "output_norm":
      return around(FINAL_NORM);
    case "altup_predict_coef":
    case "altup_correct_coef":
      return { mean: 0, deviation: VECTOR_DEVIATION };
    case "per_layer_token_embd":
      return { mean: 0, deviation: 256 ** -0.5 };
    default:
      return shape.length === 1
        ? around(1)
        : { mean: 0, deviation: shape.at(-1)! ** -0.5 };
  }
}

async function json(platform: Platform, name: string): Promise<JsonObject> {
  const { pathname } = new URL(TOKENIZER + name, import.meta.url);
  const file = await platform.openFile(decodeURIComponent(pathname));
  const bytes = await file.read(0, file.size);
  await file.close();
  return parseJsonObject(new TextDecoder().decode(bytes), name);
}

async function fileSize(
  platform: Platform,
  path: string,
): Promise<number | undefined> {
  if (await platform.stat(path) !== "file") return undefined;
  const file = await platform.openFile(path);
  await file.close();
  return file.size;
}
