// Prefill and decode of a whole decoder: E2B's proportions at a fourteenth of
// its size, in float32.
import { Gemma3nForConditionalGeneration, hostTensor } from "../../mod.ts";
import type { JsonObject } from "../../src/core/json.ts";
import { assertClose } from "../../tests/testing.ts";
import { bestOf, type Bounds } from "../harness.ts";
import { syntheticCheckpoint } from "./synthetic_checkpoint.ts";

const LAYERS = 15;
const CONFIG: JsonObject = {
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
const TOLERANCE = 1e-3;

/** Validates against the reference, then prints tokens per second and shares of the bounds. */
export async function benchDecoder(bounds: Bounds): Promise<void> {
  const source = syntheticCheckpoint(CONFIG);
  await using model = await load(source, "wasm");
  await validate(source, model);
  const { vocab_size: V, hidden_size: D } = CONFIG as Record<string, number>;
  const weights = weightsOf(source) - V! * D!;
  for (const tokens of PREFILL_TOKENS) {
    for (const fast of [true, false]) {
      await using one = fast ? undefined : await load(source, "wasm", false);
      const inputs = prompt(tokens);
      const seconds = await bestOf(2, async () => {
        await (one ?? model).forward(inputs, { logitsToKeep: 1 });
      });
      // Without fast prefill every token passes every weight but the head's.
      const share = weights * tokens / seconds / bounds.multiplyAddsPerSecond;
      print(
        `prefill ${tokens}${fast ? ", fast" : ""}`,
        tokens / seconds,
        fast ? "" : `${percent(share)} of multiply-add`,
      );
    }
  }
  const inputs = prompt(128);
  const generate = (maxNewTokens: number) =>
    model.generate({ ...inputs, maxNewTokens, eosTokenId: [] });
  const first = await bestOf(2, async () => void await generate(1));
  const all = await bestOf(2, async () => void await generate(DECODE_TOKENS));
  const perToken = (all - first) / (DECODE_TOKENS - 1);
  const read = 4 * (weights + V! * D!) / perToken / bounds.bytesPerSecond;
  print("decode at 128", 1 / perToken, `${percent(read)} of read`);
}

function load(
  source: ReturnType<typeof syntheticCheckpoint>,
  device: "wasm" | "reference",
  fastPrefill = true,
): Promise<Gemma3nForConditionalGeneration> {
  return Gemma3nForConditionalGeneration.fromPretrained(source, {
    device,
    dtype: "f32",
    fastPrefill,
    contextLength: 1024,
    maxBatchSize: 1,
  });
}

async function validate(
  source: ReturnType<typeof syntheticCheckpoint>,
  model: Gemma3nForConditionalGeneration,
): Promise<void> {
  await using reference = await load(source, "reference");
  const expected = await reference.forward(prompt(3));
  const actual = await model.forward(prompt(3));
  assertClose(actual.logits.data, expected.logits.data, {
    atol: TOLERANCE,
    label: "logits of the synthetic model",
  });
}

/** Values of the tensors that a token passes; the per-layer table is read by row. */
function weightsOf(source: ReturnType<typeof syntheticCheckpoint>): number {
  const { vocab_size_per_layer_input: rows, hidden_size_per_layer_input: P } =
    CONFIG as Record<string, number>;
  const file = source.open("model.safetensors") as Uint8Array;
  return file.byteLength / 2 - rows! * LAYERS * P!;
}

function prompt(tokens: number) {
  const ids = Int32Array.from({ length: tokens }, (_, i) => (i * 7919) % 16384);
  return { inputIds: hostTensor("int32", [1, tokens], ids) };
}

function print(name: string, tokensPerSecond: number, share: string): void {
  console.log(
    `${name.padEnd(28)} wasm      f32 ${
      tokensPerSecond.toFixed(1).padStart(9)
    } tokens/s  ${share}`,
  );
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}
