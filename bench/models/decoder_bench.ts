// Prefill and decode of a whole decoder: E2B's proportions at a fourteenth of
// its size, in each format.
import {
  Gemma3nForConditionalGeneration,
  hostTensor,
  modelInfo,
} from "../../mod.ts";
import type { JsonObject } from "../../src/core/json.ts";
import { relativeRmsError } from "../../src/quant/blocks.ts";
import { bestOf, type Bounds } from "../harness.ts";
import { syntheticCheckpoint } from "./synthetic_checkpoint.ts";

const LAYERS = 15;
/** The model that is timed. */
export const DECODER_CONFIG: JsonObject = {
  model_type: "gemma3n_text",
  vocab_size: 16384,
  vocab_size_per_layer_input: 16384,
  hidden_size: 768,
  intermediate_size: 3072,
  num_hidden_layers: LAYERS,
  num_attention_heads: 8,
  num_key_value_heads: 2,
  head_dim: 96,
  hidden_size_per_layer_input: 96,
  laurel_rank: 24,
  num_kv_shared_layers: 5,
  sliding_window: 512,
  max_position_embeddings: 4096,
  activation_sparsity_pattern: Array.from(
    { length: LAYERS },
    (_, i) => i < 5 ? 0.95 : 0,
  ),
};
const PREFILL_TOKENS = [128, 512];
const DECODE_TOKENS = 24;
const DTYPES = ["f32", "q8", "q4"] as const;
type Dtype = typeof DTYPES[number];
type Source = ReturnType<typeof syntheticCheckpoint>;
/** Relative to the logits; where activations become bytes, layers add up. */
const TOLERANCES: Readonly<Record<Dtype, number>> = {
  f32: 1e-4,
  q8: 0.15,
  q4: 0.15,
};

/** Validates against the reference, then prints tokens per second and shares of the bounds. */
export async function benchDecoder(bounds: Bounds): Promise<void> {
  const source = syntheticCheckpoint(DECODER_CONFIG);
  const decode = new Map<Dtype, number>();
  for (const dtype of DTYPES) {
    await using model = await load(source, "wasm", dtype);
    await validate(source, model, dtype);
    await benchPrefill(source, model, dtype, bounds);
    decode.set(dtype, await benchDecode(source, model, dtype, bounds));
  }
  const ratios = DTYPES.slice(1).map((dtype) =>
    `${dtype} ${(decode.get(dtype)! / decode.get("f32")!).toFixed(2)} x`
  );
  console.log(`decode, times as fast as f32: ${ratios.join(", ")}`);
}

async function benchPrefill(
  source: Source,
  model: Gemma3nForConditionalGeneration,
  dtype: Dtype,
  bounds: Bounds,
): Promise<void> {
  const { vocab_size: V, hidden_size: D } = DECODER_CONFIG as Record<
    string,
    number
  >;
  const weights = weightsOf(source) - V! * D!;
  const rate = dtype === "f32"
    ? bounds.multiplyAddsPerSecond
    : bounds.byteMultiplyAddsPerSecond;
  for (const tokens of PREFILL_TOKENS) {
    for (const fast of [true, false]) {
      await using one = fast
        ? undefined
        : await load(source, "wasm", dtype, false);
      const inputs = prompt(tokens);
      const seconds = await bestOf(2, async () => {
        await (one ?? model).forward(inputs, { logitsToKeep: 1 });
      });
      // Without fast prefill every token passes every weight but the head's.
      const share = weights * tokens / seconds / rate;
      print(
        `prefill ${tokens}${fast ? ", fast" : ""}`,
        dtype,
        tokens / seconds,
        fast ? "" : `${percent(share)} of multiply-add`,
      );
    }
  }
}

/** Tokens in a second. */
async function benchDecode(
  source: Source,
  model: Gemma3nForConditionalGeneration,
  dtype: Dtype,
  bounds: Bounds,
): Promise<number> {
  const inputs = prompt(128);
  const generate = (maxNewTokens: number) =>
    model.generate({ ...inputs, maxNewTokens, eosTokenId: [] });
  const first = await bestOf(2, async () => void await generate(1));
  const all = await bestOf(2, async () => void await generate(DECODE_TOKENS));
  const perToken = (all - first) / (DECODE_TOKENS - 1);
  // Every weight in memory is read for a token: the head is the embedding.
  const { memory } = await modelInfo(source, { dtype });
  const read = memory.weights / perToken / bounds.bytesPerSecond;
  print("decode at 128", dtype, 1 / perToken, `${percent(read)} of read`);
  return 1 / perToken;
}

function load(
  source: Source,
  device: "wasm" | "reference",
  dtype: Dtype,
  fastPrefill = true,
): Promise<Gemma3nForConditionalGeneration> {
  return Gemma3nForConditionalGeneration.fromPretrained(source, {
    device,
    dtype,
    fastPrefill,
    contextLength: 1024,
    maxBatchSize: 1,
  });
}

async function validate(
  source: Source,
  model: Gemma3nForConditionalGeneration,
  dtype: Dtype,
): Promise<void> {
  await using reference = await load(source, "reference", dtype);
  const expected = await reference.forward(prompt(3));
  const actual = await model.forward(prompt(3));
  const error = relativeRmsError(expected.logits.data, actual.logits.data);
  if (error <= TOLERANCES[dtype]) return;
  throw new Error(`Logits in ${dtype} are off by ${error} of their size`);
}

/** Values of the tensors that a token passes; the per-layer table is read by row. */
function weightsOf(source: Source): number {
  const { vocab_size_per_layer_input: rows, hidden_size_per_layer_input: P } =
    DECODER_CONFIG as Record<string, number>;
  const file = source.open("model.safetensors") as Uint8Array;
  return file.byteLength / 2 - rows! * LAYERS * P!;
}

function prompt(tokens: number) {
  const ids = Int32Array.from({ length: tokens }, (_, i) => (i * 7919) % 16384);
  return { inputIds: hostTensor("int32", [1, tokens], ids) };
}

function print(
  name: string,
  dtype: Dtype,
  tokensPerSecond: number,
  share: string,
): void {
  console.log(
    `${name.padEnd(28)} wasm      ${dtype.padEnd(3)} ${
      tokensPerSecond.toFixed(1).padStart(9)
    } tokens/s  ${share}`,
  );
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}
