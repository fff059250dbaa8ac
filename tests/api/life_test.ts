// Several calls on one model, and its end.
import assert from "node:assert/strict";
import { test } from "node:test";

import type { Gemma3nForConditionalGeneration } from "../../src/api/gemma3n_for_conditional_generation.ts";
import type { Gemma3nInputs } from "../../src/api/model_io.ts";
import { hostTensor } from "../../src/core/tensor.ts";
import {
  type CaseName,
  expectedIds,
  expectedInputs,
  loadTiny,
  MODEL_DEVICES,
} from "../model.ts";

const DISPOSED = {
  name: "InputError",
  message: "Cannot use the model: it was disposed; load it again",
};

function prompt(length: number, seed = 0): Gemma3nInputs {
  const ids = Int32Array.from(
    { length },
    (_, i) => 10 + (i * 7 + seed * 131) % 1900,
  );
  return { inputIds: hostTensor("int32", [1, length], ids) };
}

async function answerOf(
  model: Gemma3nForConditionalGeneration,
  name: CaseName,
): Promise<number[][]> {
  const expected = await expectedIds(name);
  const maxNewTokens = expected[0]!.length;
  const { sequences } = await model.generate({
    ...await expectedInputs(name),
    maxNewTokens,
  });
  return sequences.map((ids, b) => [...ids.subarray(-expected[b]!.length)]);
}

for (const device of MODEL_DEVICES) {
  test(`calls at the same time answer as alone on ${device}, also beyond the room there is`, async () => {
    await using model = await loadTiny(device, {
      maxBatchSize: 1,
      contextLength: 512,
    });
    // The two of 261 tokens do not fit beside each other.
    const names = ["text", "korean", "window", "chat"] as const;
    const all = await Promise.all(
      [...names, ...names].map((name) => answerOf(model, name)),
    );
    for (const [i, name] of [...names, ...names].entries()) {
      assert.deepEqual(all[i], await expectedIds(name), name);
    }
  });
}

test("conversations with media at the same time answer as alone", async () => {
  await using model = await loadTiny("wasm");
  const names = ["image", "text", "mixed", "audio_batch", "image"] as const;
  const all = await Promise.all(names.map((name) => answerOf(model, name)));
  for (const [i, name] of names.entries()) {
    assert.deepEqual(all[i], await expectedIds(name), name);
  }
});

test("forward() and generate() of many callers wait for room", async () => {
  await using model = await loadTiny("wasm", {
    maxBatchSize: 1,
    contextLength: 128,
  });
  const calls = [
    () => model.generate({ ...prompt(100), maxNewTokens: 20 }),
    () => model.generate({ ...prompt(110, 1), maxNewTokens: 8 }),
    () => model.forward(prompt(120, 2)),
    () => model.generate({ ...prompt(5, 3), maxNewTokens: 2 }),
    () => model.forward(prompt(128, 4)),
  ].map((call) => async () => {
    const { seeds: _, ...result } = { seeds: 0, ...await call() };
    return result;
  });
  const together = await Promise.all(calls.map((call) => call()));
  for (const [i, call] of calls.entries()) {
    assert.deepEqual(together[i], await call(), `call ${i}`);
  }
});

test("a call that waits for room can be aborted, and the others go on", async () => {
  await using model = await loadTiny("wasm", {
    maxBatchSize: 1,
    contextLength: 128,
  });
  const controller = new AbortController();
  const first = model.generate({ ...prompt(100), maxNewTokens: 20 });
  const second = model.generate({
    ...prompt(100, 1),
    maxNewTokens: 20,
    signal: controller.signal,
  });
  const third = model.generate({ ...prompt(100, 2), maxNewTokens: 4 });
  await new Promise((resolve) => setTimeout(resolve, 5));
  controller.abort();
  await assert.rejects(second, { name: "AbortError" });
  assert.equal((await first).sequences[0]!.length, 120);
  assert.equal((await third).sequences[0]!.length, 104);
});

test("what the caller's own caches leave no room for is refused, with what to do", async () => {
  await using model = await loadTiny("wasm", {
    maxBatchSize: 2,
    contextLength: 128,
  });
  const caches = [model.createCache(), model.createCache()];
  const error = {
    name: "DeviceError",
    message: /room for 2 sequences of 128, .*larger "maxBatchSize"$/,
  };
  assert.throws(() => model.createCache(), error);
  await assert.rejects(
    model.generate({ ...prompt(9), maxNewTokens: 2 }),
    error,
  );
  await assert.rejects(model.forward(prompt(9)), error);
  caches[0]!.dispose();
  caches[0]!.dispose();
  const { sequences } = await model.generate({
    ...prompt(9),
    maxNewTokens: 2,
    eosTokenId: [],
  });
  assert.equal(sequences[0]!.length, 11);
  await assert.rejects(
    model.forward(prompt(3), { pastKeyValues: caches[0]! }),
    { name: "InputError", message: /the cache: it was disposed/ },
  );
  // A batch that can never fit does not wait for ever.
  const ids = new Int32Array(4 * 100).fill(7);
  const inputs = { inputIds: hostTensor("int32", [4, 100], ids) };
  await assert.rejects(model.generate({ ...inputs, maxNewTokens: 2 }), error);
});

test("a cache of another model is refused", async () => {
  await using one = await loadTiny("wasm");
  await using other = await loadTiny("wasm");
  using cache = other.createCache({ maxLength: 16 });
  await assert.rejects(one.forward(prompt(3), { pastKeyValues: cache }), {
    name: "InputError",
    message: /belongs to another device/,
  });
  const { logits } = await one.forward(prompt(3));
  assert.deepEqual(
    (await other.forward(prompt(3), { pastKeyValues: cache })).logits,
    logits,
  );
});

test("a disposed model refuses everything; disposing twice is once", async () => {
  const model = await loadTiny("wasm");
  const cache = model.createCache({ maxLength: 8 });
  const [first, second] = [model.dispose(), model[Symbol.asyncDispose]()];
  assert.equal(first, second);
  await first;
  await model.dispose();
  assert.throws(() => model.createCache(), DISPOSED);
  const inputs = prompt(3);
  await assert.rejects(model.forward(inputs), DISPOSED);
  await assert.rejects(
    model.generate({ ...inputs, maxNewTokens: 1 }),
    DISPOSED,
  );
  const { pixelValues, inputFeatures, inputFeaturesMask } =
    await expectedInputs("mixed");
  await assert.rejects(model.getImageFeatures(pixelValues!), DISPOSED);
  await assert.rejects(
    model.getAudioFeatures(inputFeatures!, inputFeaturesMask!),
    DISPOSED,
  );
  cache.dispose();
});

for (const device of MODEL_DEVICES) {
  test(`disposing while calls run and wait ends them on ${device}`, async () => {
    const model = await loadTiny(device, { maxBatchSize: 1 });
    const calls = [
      model.generate({ ...prompt(20), maxNewTokens: 900, eosTokenId: [] }),
      model.generate({ ...prompt(900), maxNewTokens: 100, eosTokenId: [] }),
    ];
    const settled = Promise.allSettled(calls);
    // What runs at that moment may end or not, but must come back.
    const forward = model.forward(prompt(80)).catch((error) => error);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await model.dispose();
    for (const result of await settled) {
      assert.equal(result.status, "rejected");
      assert.deepEqual(
        { name: result.reason.name, message: result.reason.message },
        DISPOSED,
      );
    }
    await forward;
  });
}

test("await using disposes the model at the end of the block", async () => {
  let outside: Gemma3nForConditionalGeneration;
  {
    await using model = await loadTiny("wasm");
    outside = model;
    await model.forward(prompt(3));
  }
  await assert.rejects(outside.forward(prompt(3)), DISPOSED);
});
