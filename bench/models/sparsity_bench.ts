// What leaving out zeros in sparse layers gains: decode with E2B's widths, a
// fifth of its layers and of its vocabulary, with and without, by turns.
import type { JsonObject } from "../../src/core/json.ts";
import type { WeightFormat } from "../../src/core/dtype.ts";
import { type Checkpoint, openCheckpoint } from "../../src/io/checkpoint.ts";
import { openedFiles } from "../../src/hub/opened_files.ts";
import { checkpointNames } from "../../src/models/gemma3n/checkpoint_names.ts";
import { parseGemma3nConfig } from "../../src/models/gemma3n/config.ts";
import { Decoder } from "../../src/models/gemma3n/decoder.ts";
import type { Device } from "../../src/ops/device.ts";
import type { Ops } from "../../src/ops/ops.ts";
import { createWasmDevice } from "../../src/backends/wasm/device.ts";
import { detectPlatform } from "../../src/platform/detect.ts";
import { assertClose } from "../../tests/testing.ts";
import { syntheticCheckpoint } from "./synthetic_checkpoint.ts";

const LAYERS = 6;
const SPARSE_LAYERS = 2;
const VOCABULARY = 52_428;
const CONFIG: JsonObject = {
  model_type: "gemma3n_text",
  vocab_size: VOCABULARY,
  vocab_size_per_layer_input: 16,
  hidden_size: 2048,
  intermediate_size: 8192,
  num_hidden_layers: LAYERS,
  num_attention_heads: 8,
  num_key_value_heads: 2,
  head_dim: 256,
  hidden_size_per_layer_input: 256,
  laurel_rank: 64,
  num_kv_shared_layers: 1,
  sliding_window: 512,
  max_position_embeddings: 4096,
  activation_sparsity_pattern: Array.from(
    { length: LAYERS },
    (_, i) => i < SPARSE_LAYERS ? 0.95 : 0,
  ),
};
const PROMPT_TOKENS = 64;
const ROUNDS = 24;
const FORMATS: readonly WeightFormat[] = ["q8", "q4"];

/** Checks that logits are the same bits, then prints both times and their ratio. */
export async function benchSparsity(): Promise<void> {
  const platform = await detectPlatform();
  const files = openedFiles(syntheticCheckpoint(CONFIG));
  await using checkpoint = await openCheckpoint(files);
  for (const dtype of FORMATS) {
    for (const threads of [1, 2]) {
      const decoders: Decoder[] = [];
      const devices: Device[] = [];
      for (const adapt of [withoutLeavingOut, (device: Device) => device]) {
        const device = adapt(await createWasmDevice({ platform, threads }));
        devices.push(device);
        decoders.push(await load(checkpoint, device, dtype));
      }
      await compare(decoders, `${dtype}, ${threads} threads`);
      for (const device of devices) await device[Symbol.asyncDispose]();
    }
  }
}

/** The device with weights laid out as for any row, and every product computed. */
function withoutLeavingOut(device: Device): Device {
  const ops: Ops = {
    ...device.ops,
    gatedMatmul: (x, w, gate) =>
      device.ops.geluMul(gate, device.ops.matmul(x, w)),
  };
  return new Proxy(device, {
    get(target, key: keyof Device) {
      if (key === "ops") return ops;
      if (key === "declareWeight") {
        return (spec: Parameters<Device["declareWeight"]>[0]) =>
          target.declareWeight({
            ...spec,
            sparseInput: false,
            sparseOutput: false,
          });
      }
      const value = target[key];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

async function load(
  checkpoint: Checkpoint,
  device: Device,
  dtype: WeightFormat,
): Promise<Decoder> {
  const config = parseGemma3nConfig(CONFIG);
  const names = await checkpointNames(checkpoint, config);
  const decoder = new Decoder(device, checkpoint, names, config, {
    contextLength: 512,
    maxBatchSize: 1,
    prefillChunk: PROMPT_TOKENS,
    fastPrefill: true,
    cacheDtype: "f16",
    perLayerEmbeddings: "auto",
    dtype,
  });
  await decoder.load();
  return decoder;
}

/** The first decoder computes everything. */
async function compare(decoders: Decoder[], label: string): Promise<void> {
  const caches = decoders.map((decoder) => decoder.createCache());
  const times: number[][] = decoders.map(() => []);
  for (let round = 0; round <= ROUNDS; round++) {
    const isPrompt = round === 0;
    const ids = Int32Array.from(
      { length: isPrompt ? PROMPT_TOKENS : 1 },
      (_, i) => (round + i) * 7919 % VOCABULARY,
    );
    const logits: Float32Array[] = [];
    for (const [i, decoder] of decoders.entries()) {
      const input = { cache: caches[i]!, ids, keep: 1 };
      const started = performance.now();
      const [output] = await decoder.run([input]);
      if (!isPrompt) times[i]!.push(performance.now() - started);
      logits.push(output!.kept);
    }
    assertClose(logits[1]!, logits[0]!, { label: "logits" });
  }
  const [all, fewer] = times.map((list) => list.toSorted((a, b) => a - b));
  const median = ROUNDS >> 1;
  console.log(
    `sparse layers, ${label}: decode best ${all![0]!.toFixed(1)} ms without, ` +
      `${fewer![0]!.toFixed(1)} ms with: ` +
      `${(all![0]! / fewer![0]!).toFixed(3)} x; median ` +
      `${(all![median]! / fewer![median]!).toFixed(3)} x`,
  );
}
