// Tokens that a device chooses, on the GPU several at a time, are those that the
// host chooses one by one from the device's logits.
import assert from "node:assert/strict";
import { test } from "node:test";

import type { Gemma3nForConditionalGeneration } from "../../src/api/gemma3n_for_conditional_generation.ts";
import type { Gemma3nGenerateOptions } from "../../src/api/model_io.ts";
import { modelInfo } from "../../src/api/model_info.ts";
import { hostTensor } from "../../src/core/tensor.ts";
import { referencePath } from "../golden.ts";
import {
  type CaseName,
  expectedIds,
  expectedInputs,
  loadTiny,
} from "../model.ts";
import { stillClock } from "../still_clock.ts";
import { testGpu } from "../testing.ts";

type Options = Omit<Gemma3nGenerateOptions, "inputIds">;

/** New ids of each sequence, and what the cache holds where there is one. */
async function outcome(
  model: Gemma3nForConditionalGeneration,
  inputs: Awaited<ReturnType<typeof expectedInputs>>,
  options: Options,
) {
  const { sequences, finishReasons } = await model.generate({
    ...inputs,
    ...options,
  });
  return {
    sequences: sequences.map((ids) => [...ids]),
    finishReasons,
  };
}

/** The logits of every step are asked for, so that the host chooses. */
const ONE_BY_ONE: Options = { outputLogits: true };

/** The last tokens of a case one by one, and those in runs. */
async function assertSame(
  model: Gemma3nForConditionalGeneration,
  name: CaseName,
  options: Options,
): Promise<number[][]> {
  const inputs = await expectedInputs(name);
  const singly = await outcome(model, inputs, { ...options, ...ONE_BY_ONE });
  using _ = stillClock();
  assert.deepEqual(await outcome(model, inputs, options), singly, name);
  return singly.sequences;
}

test("tokens that the kernels choose are those of the host", async () => {
  for (const dtype of ["f32", "q4"] as const) {
    await using model = await loadTiny("wasm", { dtype });
    for (const name of ["text", "korean", "window", "batch"] as const) {
      // Some of its tokens are of the vision vocabulary.
      const length = name === "text" ? 20 : 11;
      await assertSame(model, name, { maxNewTokens: length, eosTokenId: [] });
    }
    const sample = { doSample: true, numReturnSequences: 2, seed: 3 };
    await assertSame(model, "korean", { ...sample, maxNewTokens: 6 });
  }
});

const context = await testGpu();
if (context) {
  test("runs of tokens are the tokens one by one", async () => {
    await using model = await loadTiny("webgpu");
    for (const name of ["text", "korean", "window", "batch"] as const) {
      // Its 14th token is of the vision vocabulary, which no run goes on from.
      const length = name === "text" ? 20 : 11;
      await assertSame(model, name, { maxNewTokens: length, eosTokenId: [] });
    }
  });

  test("runs of quantised models are the tokens one by one", async () => {
    for (const [dtype, name] of [["q8", "text"], ["q4", "batch"]] as const) {
      await using model = await loadTiny("webgpu", { dtype });
      await assertSame(model, name, { maxNewTokens: 11, eosTokenId: [] });
    }
  });

  test("runs of samples are the samples one by one", async () => {
    await using model = await loadTiny("webgpu");
    const sample = { doSample: true, maxNewTokens: 10, eosTokenId: [] };
    for (
      const filters of [
        { topK: 0, temperature: 1.5 },
        { topK: 64, topP: 0.95, temperature: 3 },
        { topK: 7, numReturnSequences: 3 },
      ]
    ) {
      for (const seed of [1, 2 ** 40 + 3]) {
        await assertSame(model, "korean", { ...sample, ...filters, seed });
      }
    }
    await assertSame(model, "batch", { ...sample, seed: 4 });
  });

  test("a run of small chunks is no longer than a chunk", async () => {
    await using model = await loadTiny("webgpu", { prefillChunk: 3 });
    await assertSame(model, "window", { maxNewTokens: 13, eosTokenId: [] });
    await assertSame(model, "batch", { maxNewTokens: 6, eosTokenId: [] });
  });

  // With chunks of 8 the rings of sliding layers, of 16 - 1 + 8 rows, wrap.
  for (const [prefillChunk, name] of [[512, "text"], [8, "window"]] as const) {
    test(`a sequence that ends within a run leaves its cache as one by one with prefillChunk: ${prefillChunk}`, async () => {
      await using model = await loadTiny("webgpu", { prefillChunk });
      const inputs = await expectedInputs(name);
      const greedy = await assertSame(model, name, {
        maxNewTokens: 12,
        eosTokenId: [],
      });
      const prompt = inputs.inputIds.shape[1]!;
      const all = greedy[0]!;
      for (const place of [prompt + 3, prompt + 6]) {
        const eosTokenId = [all[place]!];
        const caches = [model.createCache(), model.createCache()];
        for (const [i, choice] of [ONE_BY_ONE, {}].entries()) {
          using _ = stillClock();
          const pastKeyValues = caches[i]!;
          const options = { maxNewTokens: 12, eosTokenId, pastKeyValues };
          await outcome(model, inputs, { ...options, ...choice });
        }
        const [singly, run] = caches.map(({ ids }) => [...ids]);
        assert.deepEqual(run, singly);
        assert.equal(run!.length, all.indexOf(eosTokenId[0]!, prompt));
        // Both go on alike.
        const rest = [...run!, 100, 200];
        const next = {
          inputIds: hostTensor(
            "int32",
            [1, rest.length],
            Int32Array.from(rest),
          ),
        };
        const [a, b] = await Promise.all(
          caches.map((pastKeyValues) =>
            model.generate({ ...next, pastKeyValues, maxNewTokens: 4 })
          ),
        );
        assert.deepEqual(b!.sequences, a!.sequences);
        for (const cache of caches) cache.dispose();
      }
    });
  }

  test("an abort within a run leaves the cache as one by one, and the model goes on", async () => {
    await using model = await loadTiny("webgpu");
    const inputs = await expectedInputs("text");
    const held: number[][] = [];
    for (const choice of [ONE_BY_ONE, {}]) {
      using _ = stillClock();
      using pastKeyValues = model.createCache();
      const stop = new AbortController();
      let count = -1; // the prompt comes first
      const streamer = {
        put: () => void (++count === 4 && stop.abort()),
        end() {},
      };
      await assert.rejects(
        model.generate({
          ...inputs,
          ...choice,
          pastKeyValues,
          maxNewTokens: 12,
          eosTokenId: [],
          signal: stop.signal,
          streamer,
        }),
        { name: "AbortError" },
      );
      held.push([...pastKeyValues.ids]);
    }
    assert.deepEqual(held[1], held[0]);
    assert.equal(held[0]!.length, inputs.inputIds.shape[1]! + 3);
    await assertSame(model, "text", { maxNewTokens: 4, eosTokenId: [] });
  });

  test("perLayerEmbeddings leaves the table in its file, and the tokens as they are", async () => {
    const bytes = async (perLayerEmbeddings: "auto" | "file") =>
      (await modelInfo(referencePath("tiny"), {
        device: context.gpu,
        dtype: "f32",
        perLayerEmbeddings,
      })).memory.weights;
    assert.ok(await bytes("file") < await bytes("auto"));
    await assert.rejects(bytes("device" as "file"), /"auto" or "file"/);
    await using model = await loadTiny("webgpu", {
      perLayerEmbeddings: "file",
    });
    const ids = await assertSame(model, "text", {
      maxNewTokens: 12,
      eosTokenId: [],
    });
    const [expected] = await expectedIds("text");
    assert.deepEqual(ids[0]!.slice(-12), expected!.slice(0, 12));
  });

  test("a GPU without room for the per-layer table computes as one with it", async () => {
    const { gpu } = context;
    const { createBuffer } = gpu;
    for (const dtype of ["f32", "q4"] as const) {
      let refused = 0;
      gpu.createBuffer = function (descriptor) {
        if (descriptor.label?.includes("per_layer.weight")) {
          refused++;
          throw new RangeError("Out of memory");
        }
        return createBuffer.call(gpu, descriptor);
      };
      try {
        await using model = await loadTiny("webgpu", { dtype });
        assert.equal(refused, 1);
        const ids = await assertSame(model, "text", {
          maxNewTokens: 16,
          eosTokenId: [],
        });
        gpu.createBuffer = createBuffer;
        await using whole = await loadTiny("webgpu", { dtype });
        const options = { maxNewTokens: 16, eosTokenId: [] };
        const others = await assertSame(whole, "text", options);
        // Rows of the file are not quantised.
        if (dtype === "f32") assert.deepEqual(others, ids);
      } finally {
        gpu.createBuffer = createBuffer;
      }
    }
  });
}
