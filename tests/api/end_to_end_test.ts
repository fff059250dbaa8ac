// Conversations with real media, through our own preprocessing: the same ids,
// pixels and mels as Transformers', and the same answers.
import assert from "node:assert/strict";
import { test } from "node:test";

import { AutoProcessor } from "../../src/api/auto_processor.ts";
import type { BatchFeature } from "../../src/processing/batch_feature.ts";
import type { AudioSource } from "../../src/processing/media.ts";
import type { ContentPart, Message } from "../../src/processing/messages.ts";
import type { Gemma3nProcessor } from "../../src/processing/processor.ts";
import { golden, referenceBytes, referencePath } from "../golden.ts";
import { type CaseName, expectedIds, loadTiny } from "../model.ts";
import { assertClose } from "../testing.ts";

/** The expected mels come from float32 FFTs, 1.5e-4 from exact. */
const MEL_ATOL = 5e-4;
const SYSTEM = "당신은 도움이 되는 어시스턴트입니다.";

const image = (name: string): ContentPart => ({
  type: "image",
  image: referencePath(`media/${name}`),
});
const clip = (audio: AudioSource): ContentPart => ({ type: "audio", audio });
const text = (content: string): ContentPart => ({
  type: "text",
  text: content,
});
const speech = () => clip(referencePath("media/speech-16k.wav"));

// Samples 20000..50000 of the speech, 16-bit after a header of 44 bytes.
async function shortClip(): Promise<Float32Array> {
  const bytes = await referenceBytes("media/speech-16k.wav");
  const view = new DataView(bytes.buffer, bytes.byteOffset + 44);
  return Float32Array.from(
    { length: 30000 },
    (_, i) => view.getInt16(2 * (20000 + i), true) / 32768,
  );
}

function conversation(content: readonly ContentPart[]): Message[] {
  return [
    { role: "system", content: [text(SYSTEM)] },
    { role: "user", content },
  ];
}

const CONVERSATIONS: Partial<
  Record<CaseName, () => ContentPart[] | Promise<ContentPart[]>>
> = {
  chat: () => [text("Hello, who are you?")],
  image: () => [image("cat.png"), text("이 이미지에 무엇이 보이나요?")],
  images: () => [
    image("china.jpg"),
    image("flower.jpg"),
    text("어떤 이미지가 더 귀엽습니까?"),
  ],
  audio: () => [speech(), text("Transcribe the audio.")],
  long_audio: () => [
    clip(referencePath("media/long35s.wav")),
    text("What do you hear?"),
  ],
  mixed: () => [
    image("cat.png"),
    speech(),
    text("Does the speech describe the picture?"),
  ],
  two_clips: async () => [
    text("First:"),
    speech(),
    text("second:"),
    clip(await shortClip()),
    text("Which clip is longer?"),
  ],
};

async function makeInputs(
  processor: Gemma3nProcessor,
  name: CaseName,
): Promise<BatchFeature> {
  const content = CONVERSATIONS[name];
  if (content !== undefined) {
    const messages = conversation(await content());
    return await processor.applyChatTemplate(messages, {
      addGenerationPrompt: true,
    });
  }
  // The expected batch was made from rendered prompts, and so has two <bos>.
  const prompts = await processor.applyChatTemplate([
    conversation([{ type: "audio" }, text("Transcribe.")]),
    conversation([
      { type: "audio" },
      text("Transcribe the audio and translate it into Korean."),
    ]),
  ], { addGenerationPrompt: true, tokenize: false });
  const audio = [referencePath("media/speech-16k.wav"), await shortClip()];
  return await processor.process({ text: prompts, audio });
}

async function assertInputs(name: CaseName, inputs: BatchFeature) {
  const file = await golden();
  assert.deepEqual(inputs.inputIds, file.int32(`${name}.input_ids`));
  assert.deepEqual(inputs.attentionMask, file.int32(`${name}.attention_mask`));
  if (inputs.pixelValues) {
    const expected = file.float32(`${name}.pixel_values`);
    assert.deepEqual(inputs.pixelValues.shape, expected.shape);
    assert.deepEqual(inputs.pixelValues.data, expected.data);
  }
  if (inputs.inputFeatures) {
    const expected = file.float32(`${name}.input_features`);
    assert.deepEqual(inputs.inputFeatures.shape, expected.shape);
    const { data } = inputs.inputFeatures;
    assertClose(data, expected.data, { atol: MEL_ATOL, label: `${name} mel` });
    assert.deepEqual(
      inputs.inputFeaturesMask,
      file.uint8(`${name}.input_features_mask`),
    );
  }
}

const NAMES: readonly CaseName[] = [
  "chat",
  "image",
  "images",
  "audio",
  "long_audio",
  "mixed",
  "two_clips",
  "audio_batch",
];

for (const name of NAMES) {
  test(`${name}: our own preprocessing gives Transformers' inputs and answer`, async () => {
    const warnings: string[] = [];
    const processor = await AutoProcessor.fromPretrained(
      referencePath("tiny"),
      { onWarning: (warning) => warnings.push(warning) },
    );
    const inputs = await makeInputs(processor, name);
    await assertInputs(name, inputs);
    // Only the 35 s recording is cut, and only that is told.
    assert.equal(warnings.length, name === "long_audio" ? 1 : 0);

    await using model = await loadTiny("wasm");
    const expected = await expectedIds(name);
    const maxNewTokens = expected[0]!.length;
    const { sequences } = await model.generate({ ...inputs, maxNewTokens });
    expected.forEach((ids, b) => {
      const answer = [...sequences[b]!.subarray(-ids.length)];
      assert.deepEqual(answer, ids, `sequence ${b}`);
    });
  });
}
