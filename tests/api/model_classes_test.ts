// The classes without a head, against those with one and against Transformers.
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  AutoModelForCausalLM,
  AutoModelForImageTextToText,
} from "../../src/api/auto_models.ts";
import { Gemma3nForCausalLM } from "../../src/api/gemma3n_for_causal_lm.ts";
import { Gemma3nForConditionalGeneration } from "../../src/api/gemma3n_for_conditional_generation.ts";
import { Gemma3nModel } from "../../src/api/gemma3n_model.ts";
import { Gemma3nTextModel } from "../../src/api/gemma3n_text_model.ts";
import type { HostTensor } from "../../src/core/tensor.ts";
import { golden, referencePath } from "../golden.ts";
import {
  expectedInputs,
  loadTiny,
  LONG_LOGITS_ATOL,
  MODEL_DEVICES,
  sliceColumns,
} from "../model.ts";
import { assertClose } from "../testing.ts";

/** A product in float64 against one in float32. */
const HEAD_ATOL = 1e-3;
/** Of soft tokens of magnitude 1. */
const FEATURES_ATOL = 1e-3;
/** First values of the last row for "text", by Transformers' Gemma3nModel. */
const LAST_HIDDEN_STATE = [
  0.4784759,
  1.5032758,
  -0.0360304,
  -0.7489578,
  1.4943799,
  0.0477558,
];
const HIDDEN_ATOL = 3e-5;
const OPTIONS = { dtype: "f32", contextLength: 1024 } as const;

/** Logits of one row of hidden states, by the embedding `[V, D]` as head. */
function headOf(
  hidden: Float32Array,
  { shape, data }: HostTensor<"float32">,
): number[] {
  const [V, D] = shape as [number, number];
  return Array.from({ length: V }, (_, v) => {
    let sum = 0;
    for (let d = 0; d < D; d++) sum += hidden[d]! * data[v * D + d]!;
    return 30 * Math.tanh(sum / 30);
  });
}

for (const device of MODEL_DEVICES) {
  test(`the last hidden state, times the head, is the logits on ${device}`, async () => {
    const source = referencePath("tiny-text");
    const options = { ...OPTIONS, device };
    await using headless = await Gemma3nTextModel.fromPretrained(
      source,
      options,
    );
    await using model = await Gemma3nForCausalLM.fromPretrained(
      source,
      options,
    );
    const inputs = await expectedInputs("batch");
    const { lastHiddenState } = await headless.forward(inputs);
    const { logits } = await model.forward(inputs);
    const file = await golden("tiny-text/model.safetensors");
    const embedding = file.float32("model.embed_tokens.weight");
    const [V, D] = embedding.shape as [number, number];
    inputs.attentionMask!.data.forEach((valid, row) => {
      const hidden = lastHiddenState.data.subarray(row * D, (row + 1) * D);
      const expected = logits.data.subarray(row * V, (row + 1) * V);
      const actual = valid ? headOf(hidden, embedding) : [...expected].fill(0);
      assertClose(actual, expected, { atol: HEAD_ATOL, label: `row ${row}` });
    });
  });
}

test("the last hidden state is Transformers'", async () => {
  const inputs = await expectedInputs("text");
  for (const device of MODEL_DEVICES) {
    for (const Model of [Gemma3nModel, Gemma3nTextModel]) {
      await using model = await Model.fromPretrained(referencePath("tiny"), {
        ...OPTIONS,
        device,
      });
      const { lastHiddenState } = await model.forward(inputs);
      const [, T, D] = lastHiddenState.shape as [number, number, number];
      const row = lastHiddenState.data.subarray((T - 1) * D);
      assertClose(row.subarray(0, 6), LAST_HIDDEN_STATE, {
        atol: HIDDEN_ATOL,
        label: `${Model.name} on ${device}`,
      });
    }
  }
});

test("Gemma3nModel gives the states of the model with a head", async () => {
  await using model = await Gemma3nModel.fromPretrained(
    referencePath("tiny"),
    OPTIONS,
  );
  await using whole = await loadTiny("wasm");
  const inputs = await expectedInputs("mixed");
  const options = { outputHiddenStates: true };
  const states = await model.forward(inputs, options);
  const output = await whole.forward(inputs, options);
  assert.deepEqual(states.hiddenStates, output.hiddenStates);
  assert.deepEqual(states.imageHiddenStates, output.imageHiddenStates);
  assert.deepEqual(states.audioHiddenStates, output.audioHiddenStates);
  assert.ok(!("pastKeyValues" in states) && !("logits" in states));

  const file = await golden();
  assertClose(
    (await model.getImageFeatures(inputs.pixelValues!)).data,
    file.float32("mixed.image_features").data,
    { atol: FEATURES_ATOL, label: "pictures" },
  );
  const { features, mask } = await model.getAudioFeatures(
    inputs.inputFeatures!,
    inputs.inputFeaturesMask!,
  );
  const expected = file.float32("mixed.audio_features");
  assert.deepEqual(features.shape, expected.shape);
  assert.deepEqual(mask.shape, expected.shape.slice(0, 2));
  assertClose(features.data, expected.data, {
    atol: FEATURES_ATOL,
    label: "sound",
  });
});

test("a cache of hidden states continues and rewinds", async () => {
  await using model = await Gemma3nTextModel.fromPretrained(
    referencePath("tiny"),
    OPTIONS,
  );
  const { inputIds } = await expectedInputs("korean");
  const T = inputIds.shape[1]!;
  const whole = await model.forward({ inputIds });
  const D = model.config.hiddenSize;
  using cache = model.createCache({ maxLength: 64 });
  for (const first of [0, 3, 3, 7]) {
    cache.crop(Math.min(cache.length, first));
    const last = first === 7 ? T : first + 4;
    const part = await model.forward(
      { inputIds: sliceColumns(inputIds, cache.length, last) },
      { pastKeyValues: cache },
    );
    assert.equal(part.pastKeyValues, cache);
    const from = last - part.lastHiddenState.shape[1]!;
    assertClose(
      part.lastHiddenState.data,
      whole.lastHiddenState.data.subarray(from * D, last * D),
      { atol: LONG_LOGITS_ATOL, label: `from ${from}` },
    );
  }
  assert.deepEqual([...cache.ids], [...inputIds.data]);
});

test("a decoder alone takes no media and says so", async () => {
  await using model = await Gemma3nForCausalLM.fromPretrained(
    referencePath("tiny"),
    OPTIONS,
  );
  const inputs = await expectedInputs("image");
  for (
    const call of [
      () => model.forward(inputs),
      () => model.generate({ ...inputs, maxNewTokens: 1 }),
    ]
  ) {
    await assert.rejects(call, {
      name: "UnsupportedError",
      message: "Cannot encode pictures: the model has a text decoder only",
    });
  }
  const sound = await expectedInputs("audio");
  await assert.rejects(model.forward(sound), {
    name: "UnsupportedError",
    message: /Cannot encode sound/,
  });
});

test("the auto classes find the class of a checkpoint", async () => {
  await using whole = await AutoModelForCausalLM.fromPretrained(
    referencePath("tiny"),
    OPTIONS,
  );
  await using decoder = await AutoModelForCausalLM.fromPretrained(
    referencePath("tiny-text"),
    OPTIONS,
  );
  await using pictures = await AutoModelForImageTextToText.fromPretrained(
    referencePath("tiny"),
    OPTIONS,
  );
  assert.ok(whole instanceof Gemma3nForConditionalGeneration);
  assert.ok(decoder instanceof Gemma3nForCausalLM);
  assert.ok(pictures instanceof Gemma3nForConditionalGeneration);
  const inputs = await expectedInputs("text");
  const { sequences } = await decoder.generate({ ...inputs, maxNewTokens: 3 });
  assert.equal(sequences[0]!.length, inputs.inputIds.shape[1]! + 3);
});
