// Every case of the reference: prompts, input ids and attention masks. The
// values of the media do not matter here, so they are stand-ins.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContentPart, Message } from "../../src/processing/messages.ts";
import type { BatchFeature } from "../../src/processing/batch_feature.ts";
import { cases, golden } from "../golden.ts";
import { makeProcessor } from "./processor_fixture.ts";

const IMAGE_TOKEN = 2049;
const AUDIO_TOKEN = 2057;

const picture = (): ContentPart => ({
  type: "image",
  image: { width: 1, height: 1, data: new Uint8Array(3) },
});
const clip = (): ContentPart => ({
  type: "audio",
  audio: new Float32Array(160),
});
const text = (words: string): ContentPart => ({ type: "text", text: words });

function conversation(...content: ContentPart[]): Message[] {
  return [
    {
      role: "system",
      content: [text("당신은 도움이 되는 어시스턴트입니다.")],
    },
    { role: "user", content },
  ];
}

const CAPITAL = "The capital of France is";
const PLANTS = "식물은 특정 과정을 통해 에너지를 생성합니다.";
const WINDOW = Array.from(
  { length: 30 },
  (_, i) => `item ${i} is ${i % 3 === 0 ? "blue" : "red"};`,
).join(" ");

const TEXTS: Record<string, string | string[]> = {
  text: CAPITAL,
  korean: PLANTS,
  window: WINDOW,
  batch: [
    CAPITAL,
    PLANTS,
    "def fibonacci(n):\n    if n < 2:\n        return n\n",
  ],
};

const CHATS: Record<string, Message[][]> = {
  chat: [conversation(text("Hello, who are you?"))],
  image: [conversation(picture(), text("이 이미지에 무엇이 보이나요?"))],
  images: [
    conversation(picture(), picture(), text("어떤 이미지가 더 귀엽습니까?")),
  ],
  audio: [conversation(clip(), text("Transcribe the audio."))],
  long_audio: [conversation(clip(), text("What do you hear?"))],
  mixed: [
    conversation(
      picture(),
      clip(),
      text("Does the speech describe the picture?"),
    ),
  ],
  two_clips: [
    conversation(
      text("First:"),
      clip(),
      text("second:"),
      clip(),
      text("Which clip is longer?"),
    ),
  ],
};

// Made from rendered prompts as plain text: it has two <bos>, the template's
// and the tokenizer's.
const AUDIO_BATCH = [
  conversation(clip(), text("Transcribe.")),
  conversation(
    clip(),
    text("Transcribe the audio and translate it into Korean."),
  ),
];

async function assertInputs(name: string, inputs: BatchFeature): Promise<void> {
  const file = await golden();
  const ids = file.int32(`${name}.input_ids`);
  const mask = file.int32(`${name}.attention_mask`);
  assert.deepEqual(inputs.inputIds.shape, ids.shape);
  assert.deepEqual(inputs.inputIds.data, ids.data);
  assert.deepEqual(inputs.attentionMask.shape, mask.shape);
  assert.deepEqual(inputs.attentionMask.data, mask.data);
  assert.deepEqual(inputs.tokenTypeIds.shape, ids.shape);
  assert.deepEqual(
    inputs.tokenTypeIds.data,
    ids.data.map((id) => id === IMAGE_TOKEN ? 1 : id === AUDIO_TOKEN ? 3 : 0),
  );
}

test("every case of the reference is tested here", async () => {
  assert.deepEqual(
    (await cases()).map(({ name }) => name).sort(),
    [...Object.keys(TEXTS), ...Object.keys(CHATS), "audio_batch"].sort(),
  );
});

for (const [name, texts] of Object.entries(TEXTS)) {
  test(`process() makes the input ids of "${name}"`, async () => {
    const { processor } = makeProcessor();
    const inputs = await processor.process({ text: texts });
    await assertInputs(name, inputs);
    assert.deepEqual(
      Object.keys(inputs).sort(),
      ["attentionMask", "inputIds", "tokenTypeIds"],
    );
  });
}

for (const [name, conversations] of Object.entries(CHATS)) {
  test(`applyChatTemplate() makes the input ids of "${name}"`, async () => {
    const { processor, imageProcessor, featureExtractor } = makeProcessor();
    const options = { addGenerationPrompt: true };
    const inputs = await processor.applyChatTemplate(conversations, options);
    await assertInputs(name, inputs);

    const parts = conversations.flat().flatMap((message) =>
      message.content as ContentPart[]
    );
    const count = (type: string) =>
      parts.filter((part) => part.type === type).length;
    assert.equal(imageProcessor.seen.flat().length, count("image"));
    assert.equal(inputs.pixelValues?.shape[0] ?? 0, count("image"));
    assert.equal(featureExtractor.seen.flat().length, count("audio"));
    assert.equal(inputs.inputFeatures?.shape[0] ?? 0, count("audio"));
    assert.equal(inputs.inputFeaturesMask?.shape[0] ?? 0, count("audio"));

    const { prompt } = (await cases()).find((entry) => entry.name === name)!;
    assert.deepEqual(
      await processor.applyChatTemplate(conversations, {
        ...options,
        tokenize: false,
      }),
      [prompt],
    );
  });
}

test('process() makes the input ids of "audio_batch"', async () => {
  const { processor, featureExtractor } = makeProcessor();
  const prompts = await processor.applyChatTemplate(AUDIO_BATCH, {
    addGenerationPrompt: true,
    tokenize: false,
  });
  const clips = [new Float32Array(3), new Float32Array(4)];
  const inputs = await processor.process({ text: prompts, audio: clips });
  await assertInputs("audio_batch", inputs);
  assert.deepEqual(featureExtractor.seen, [clips]);
  assert.deepEqual(inputs.inputFeatures?.shape, [2, 5, 128]);
});
