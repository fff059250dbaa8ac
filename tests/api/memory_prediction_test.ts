// What modelInfo(), and with it `g3n info`, says of memory is what a model takes,
// and what cannot fit is refused before anything is read.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Gemma3nForCausalLM } from "../../src/api/gemma3n_for_causal_lm.ts";
import { type ModelInfo, modelInfo } from "../../src/api/model_info.ts";
import type { ModelOptions } from "../../src/api/model_options.ts";
import { DeviceError } from "../../src/core/errors.ts";
import { hostTensor } from "../../src/core/tensor.ts";
import { runScript } from "../platform/runtime.ts";
import {
  endlessCheckpoint,
  HUGE_DECODER,
  SMALL_DECODER,
} from "./made_up_decoders.ts";

/** Most that a model takes beyond the prediction, or less. */
const TOLERANCE = 0.05;
/** What memories have at most that are made to try something. */
const TRIAL_BYTES = 2 ** 18;

/** Every memory that `use` makes. */
async function memoriesOf(
  use: () => Promise<void>,
): Promise<WebAssembly.Memory[]> {
  const { Memory } = WebAssembly;
  const made: WebAssembly.Memory[] = [];
  WebAssembly.Memory = new Proxy(Memory, {
    construct(target, args) {
      const memory = Reflect.construct(target, args) as WebAssembly.Memory;
      made.push(memory);
      return memory;
    },
  });
  try {
    await use();
  } finally {
    WebAssembly.Memory = Memory;
  }
  return made;
}

function total({ weights, kv, activations }: ModelInfo["memory"]): number {
  return weights + kv + activations;
}

const SMALL: readonly ModelOptions[] = [
  { dtype: "q4", contextLength: 4096, cacheDtype: "f16", threads: 1 },
  { dtype: "q4", contextLength: 512, cacheDtype: "f32", threads: 2 },
  { dtype: "q8", contextLength: 2048, cacheDtype: "f32", threads: 1 },
  { dtype: "q8", contextLength: 16_384, cacheDtype: "f16", threads: 2 },
  { dtype: "q8", contextLength: 8192, cacheDtype: "q8", threads: 1 },
  { dtype: "f32", contextLength: 256, cacheDtype: "f32", threads: 2 },
  { dtype: "f32", contextLength: 1024, cacheDtype: "f16", threads: 1 },
];

for (const options of SMALL) {
  const { dtype, contextLength, cacheDtype, threads } = options;
  const name =
    `${dtype}, ${contextLength} tokens in ${cacheDtype}, ${threads} thread(s)`;
  test(`the WebAssembly memory of a model is what was predicted: ${name}`, async () => {
    const source = endlessCheckpoint(SMALL_DECODER);
    const wanted: ModelOptions = {
      ...options,
      device: "wasm",
      maxBatchSize: 2,
      onWarning: (warning) => assert.fail(warning),
    };
    const predicted = total((await modelInfo(source, wanted)).memory);
    assert.equal(source.readBytes, 0);
    let atLoad = 0;
    const sizes = (memories: WebAssembly.Memory[]) =>
      memories.map(({ buffer }) => buffer.byteLength)
        .filter((bytes) => bytes > TRIAL_BYTES);
    const memories = await memoriesOf(async () => {
      await using model = await Gemma3nForCausalLM.fromPretrained(
        source,
        wanted,
      );
      atLoad = source.readBytes;
      const ids = Int32Array.from({ length: 200 }, (_, i) => (37 * i) % 4096);
      const inputIds = hostTensor("int32", [1, ids.length], ids);
      await model.generate({ inputIds, maxNewTokens: 3 });
    });
    assert.ok(atLoad > 20e6, `${atLoad} bytes were read`);
    const [bytes, ...others] = sizes(memories);
    assert.deepEqual(others, []);
    assert.ok(
      bytes! >= predicted && bytes! <= (1 + TOLERANCE) * predicted,
      `${bytes} bytes, predicted ${predicted}`,
    );
  });
}

test("the memory of a batch and of a context is predicted by what they add", async () => {
  const source = endlessCheckpoint(SMALL_DECODER);
  const kv = async (contextLength: number, maxBatchSize: number) => {
    const options = { device: "wasm", contextLength, maxBatchSize } as const;
    return (await modelInfo(source, options)).memory.kv;
  };
  assert.equal(await kv(1024, 4), 4 * await kv(1024, 1));
  // Only layers that see everything grow with the context.
  const grown = await kv(4096, 1) - await kv(2048, 1);
  assert.ok(grown > 0 && grown < await kv(2048, 1), `${grown}`);
  assert.equal(await kv(6144, 1) - await kv(4096, 1), grown);
});

for (const threads of [1, 2]) {
  test(`a process grows by what was predicted, with ${threads} thread(s)`, async () => {
    const script = fileURLToPath(new URL("memory_script.ts", import.meta.url));
    const args = [String(threads)];
    const { code, stdout, stderr } = await runScript(script, args, "");
    assert.equal(code, 0, stderr);
    const { predicted, grown } = JSON.parse(stdout);
    assert.ok(predicted > 500e6, `predicted ${predicted}`);
    assert.ok(
      Math.abs(grown - predicted) < TOLERANCE * predicted,
      `it grew by ${grown} bytes, predicted ${predicted}`,
    );
  });
}

for (const threads of [1, 2]) {
  test(`a model that cannot fit is refused before it is read, with ${threads} thread(s)`, async () => {
    const source = endlessCheckpoint(HUGE_DECODER);
    const warnings: string[] = [];
    const options: ModelOptions = {
      device: "wasm",
      dtype: "q8",
      threads,
      onWarning: (warning) => warnings.push(warning),
    };
    const { memory } = await modelInfo(source, options);
    assert.ok(total(memory) > 2 ** 32);
    await assert.rejects(
      Gemma3nForCausalLM.fromPretrained(source, options),
      (error) => {
        assert.ok(error instanceof DeviceError);
        const [, needed] = /reserve ([\d.]+) MiB/.exec(error.message)!;
        const ratio = Number(needed) * 2 ** 20 / total(memory);
        assert.ok(ratio >= 1 && ratio < 1 + TOLERANCE, error.message);
        assert.match(error.message, /weights [\d.]+ MiB.*at most 4096\.0 MiB/);
        assert.match(error.message, /use a smaller dtype, contextLength/);
        return true;
      },
    );
    assert.equal(source.readBytes, 0);
    assert.deepEqual(warnings, []);
  });
}
