// Started by memory_prediction_test.ts: loads a decoder that is made up while it
// is read, fills its context, and prints what was predicted and by how much the
// process has grown. Its argument is the number of threads.
import process from "node:process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Gemma3nForCausalLM } from "../../src/api/gemma3n_for_causal_lm.ts";
import { modelInfo } from "../../src/api/model_info.ts";
import type { ModelOptions } from "../../src/api/model_options.ts";
import type { JsonObject } from "../../src/core/json.ts";
import { hostTensor } from "../../src/core/tensor.ts";
import {
  endlessCheckpoint,
  LARGE_DECODER,
  SMALL_DECODER,
} from "./made_up_decoders.ts";

/** All of it is filled. */
const CONTEXT = 128;
/** Memory that was freed goes back to the system bit by bit. */
const [SETTLE_MS, TURNS] = [200, 4];

const options: ModelOptions = {
  device: "wasm",
  dtype: "f32",
  threads: Number(process.argv[2]),
  contextLength: CONTEXT,
  maxBatchSize: 1,
};
const ids = Int32Array.from({ length: CONTEXT }, (_, i) => i * 37 % 4096);
const inputIds = hostTensor("int32", [1, CONTEXT], ids);
const collectGarbage = garbageCollector();

// What code and threads take is no model's.
await measure(SMALL_DECODER);
const figures = await measure(LARGE_DECODER);
process.stdout.write(`${JSON.stringify(figures)}\n`);

async function measure(
  config: JsonObject,
): Promise<{ predicted: number; grown: number }> {
  const source = endlessCheckpoint(config);
  const { memory } = await modelInfo(source, options);
  const before = await residentBytes();
  await using model = await Gemma3nForCausalLM.fromPretrained(source, options);
  using pastKeyValues = model.createCache();
  await model.forward({ inputIds }, { pastKeyValues, logitsToKeep: CONTEXT });
  const grown = await residentBytes() - before;
  const { weights, kv, activations } = memory;
  return { predicted: weights + kv + activations, grown };
}

async function residentBytes(): Promise<number> {
  for (let turn = 0; turn < TURNS; turn++) {
    collectGarbage();
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  }
  return process.memoryUsage().rss;
}

function garbageCollector(): () => void {
  const { Bun } = globalThis as { Bun?: { gc(force: boolean): void } };
  if (Bun !== undefined) return () => Bun.gc(true);
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc");
}
