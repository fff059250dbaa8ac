// Turns of a conversation on one cache give what the whole conversation gives.
import assert from "node:assert/strict";
import { test } from "node:test";

import { AutoProcessor } from "../../src/api/auto_processor.ts";
import { hostTensor } from "../../src/core/tensor.ts";
import type { BatchFeature } from "../../src/processing/batch_feature.ts";
import type { ContentPart, Message } from "../../src/processing/messages.ts";
import { referencePath } from "../golden.ts";
import { expectedIds, expectedInputs, loadTiny } from "../model.ts";

const NEW_TOKENS = 6;
const processor = await AutoProcessor.fromPretrained(referencePath("tiny"));

const picture = (name: string): ContentPart => ({
  type: "image",
  url: referencePath(`media/${name}`),
});
const speech: ContentPart = {
  type: "audio",
  url: referencePath("media/speech-16k.wav"),
};
const text = (content: string): ContentPart => ({
  type: "text",
  text: content,
});

const TURNS: readonly (readonly ContentPart[])[] = [
  [picture("cat.png"), text("What is this?")],
  [speech, text("And what do you hear?"), picture("flower.jpg")],
  [text("Thank you.")],
];

/** Ids of a turn after those that stand already. */
function append(ids: Int32Array, turn: BatchFeature): BatchFeature {
  const added = turn.inputIds.data;
  const all = new Int32Array(ids.length + added.length);
  all.set(ids);
  all.set(added, ids.length);
  return {
    ...turn,
    inputIds: hostTensor("int32", [1, all.length], all),
    attentionMask: hostTensor(
      "int32",
      [1, all.length],
      new Int32Array(all.length).fill(1),
    ),
  };
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(parts.length * parts[0]!.length);
  parts.forEach((part, i) => out.set(part, i * part.length));
  return out;
}

async function turnInputs(content: readonly ContentPart[], first: boolean) {
  const messages: Message[] = [{ role: "user", content }];
  const prompt = await processor.applyChatTemplate(messages, {
    addGenerationPrompt: true,
    tokenize: false,
  });
  const media = (type: "image" | "audio") =>
    content.flatMap((part) =>
      part.type === type && "url" in part ? [part.url!] : []
    );
  return await processor.process({
    text: first ? prompt : "\n" + prompt.replace("<bos>", ""),
    images: media("image"),
    audio: media("audio"),
  }, { addSpecialTokens: false });
}

test("turns on a cache answer as turns that are fed whole", async () => {
  await using model = await loadTiny("wasm", { contextLength: 2048 });
  using cache = model.createCache();
  let ids: Int32Array = new Int32Array();
  const pictures: Float32Array[] = [];
  let sound: BatchFeature | undefined;
  for (const [i, content] of TURNS.entries()) {
    const turn = await turnInputs(content, i === 0);
    if (turn.pixelValues) pictures.push(turn.pixelValues.data);
    if (turn.inputFeatures) sound = turn;
    const inputs = append(ids, turn);
    const options = { maxNewTokens: NEW_TOKENS, eosTokenId: [] };
    const media = {
      pixelValues: hostTensor(
        "float32",
        [pictures.length, 3, 256, 256],
        joined(pictures),
      ),
      inputFeatures: sound?.inputFeatures,
      inputFeaturesMask: sound?.inputFeaturesMask,
    };
    const whole = await model.generate({ ...inputs, ...media, ...options });
    // The media of the turn alone, or of the whole conversation: both are taken.
    const own = i === 1 ? media : {};
    const cached = await model.generate({
      ...inputs,
      ...own,
      ...options,
      pastKeyValues: cache,
    });
    assert.deepEqual(cached.sequences, whole.sequences, `turn ${i}`);
    ids = cached.sequences[0]!;
    // The last id was chosen, not fed.
    assert.deepEqual(cache.ids, ids.subarray(0, -1));
  }
});

test("a cache whose tokens are not the prompt's is refused, with the place", async () => {
  await using model = await loadTiny("wasm");
  const { inputIds } = await expectedInputs("text");
  const T = inputIds.shape[1]!;
  using cache = model.createCache({ maxLength: 64 });
  await model.forward({ inputIds }, { pastKeyValues: cache });
  const generate = (ids: Int32Array) =>
    model.generate({
      inputIds: hostTensor("int32", [1, ids.length], ids),
      pastKeyValues: cache,
      maxNewTokens: 4,
    });
  await assert.rejects(generate(inputIds.data), {
    name: "InputError",
    message: /it holds (\d+) tokens, the prompt has \1; pass the whole/,
  });
  const other = Int32Array.of(...inputIds.data, 7);
  other[3] = 9;
  await assert.rejects(generate(other), {
    name: "InputError",
    message: /token 3 of the prompt is 9, .*crop the cache to 3 tokens$/,
  });
  cache.crop(T - 1);
  const { sequences } = await generate(inputIds.data);
  const [expected] = await expectedIds("text");
  assert.deepEqual([...sequences[0]!.subarray(T)], expected!.slice(0, 4));
});

test("a cache that ends inside a picture is refused", async () => {
  await using model = await loadTiny("wasm");
  const inputs = await expectedInputs("image");
  const { inputIds } = inputs;
  using cache = model.createCache();
  await model.forward(inputs, { pastKeyValues: cache });
  cache.crop(inputIds.data.indexOf(model.config.imageTokenId) + 100);
  await assert.rejects(
    model.generate({ ...inputs, pastKeyValues: cache, maxNewTokens: 1 }),
    { name: "InputError", message: /end inside a picture; crop it/ },
  );
});

test("one cache for each sequence of a batch", async () => {
  await using model = await loadTiny("wasm");
  const inputs = await expectedInputs("batch");
  const expected = await expectedIds("batch");
  const caches = expected.map(() => model.createCache({ maxLength: 64 }));
  const { sequences } = await model.generate({
    ...inputs,
    pastKeyValues: caches,
    maxNewTokens: expected[0]!.length,
  });
  expected.forEach((ids, b) => {
    assert.deepEqual([...sequences[b]!.subarray(-ids.length)], ids);
    assert.deepEqual(caches[b]!.ids, sequences[b]!.subarray(0, -1));
  });
  for (const pastKeyValues of [caches[0]!, caches.slice(1), {} as never]) {
    await assert.rejects(
      model.generate({ ...inputs, pastKeyValues, maxNewTokens: 1 }),
      { name: "InputError", message: /pastKeyValues/ },
    );
  }
  for (const cache of caches) cache.dispose();
});

test("a cache is cropped to what its sliding layers still hold", async () => {
  await using model = await loadTiny("wasm", { prefillChunk: 8 });
  const { inputIds } = await expectedInputs("window");
  const T = inputIds.shape[1]!;
  using cache = model.createCache({ maxLength: 256 });
  await model.forward({ inputIds }, { pastKeyValues: cache });
  for (const length of [T + 1, -T - 1, 1.5, NaN]) {
    assert.throws(() => cache.crop(length), {
      name: "InputError",
      message: `Cannot crop the cache to ${length} tokens: it holds ${T}`,
    });
  }
  assert.throws(() => cache.crop(100), {
    name: "InputError",
    message: /its sliding layers kept what follows token \d+, so (\d+) is the/,
  });
  assert.equal(cache.length, T);
  // A window of 16 in rings of 16 - 1 + 8 rows.
  cache.crop(T - 8);
  assert.deepEqual(cache.ids, inputIds.data.slice(0, T - 8));
  cache.crop(0);
  assert.equal(cache.length, 0);
  cache.dispose();
  assert.ok(cache.disposed);
  assert.throws(() => cache.crop(0), { name: "InputError" });
});
