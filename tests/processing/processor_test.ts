import assert from "node:assert/strict";
import { test } from "node:test";
import { CheckpointError, InputError } from "../../src/core/errors.ts";
import type { Message } from "../../src/processing/messages.ts";
import { parseProcessorConfig } from "../../src/processing/processor_config.ts";
import { GemmaTokenizer } from "../../src/processing/tokenizer.ts";
import { referenceText } from "../golden.ts";
import { makeProcessor } from "./processor_fixture.ts";

const BOS = 2;
const IMAGE_TOKEN = 2049;
const AUDIO_TOKEN = 2057;
const IMAGE = "<image_soft_token>";
const AUDIO = "<audio_soft_token>";

const { processor } = makeProcessor();
const pixels = () => ({ width: 1, height: 1, data: new Uint8Array(3) });
const count = (ids: Int32Array, id: number) =>
  ids.filter((entry) => entry === id).length;

/** Bad input as JavaScript callers may pass it. */
const asMessages = (messages: unknown) => messages as Message[];

test("process() expands placeholders and marks token types", async () => {
  const { inputIds, tokenTypeIds } = await processor.process({
    text: `${IMAGE} and ${AUDIO}`,
    images: pixels(),
    audio: new Float32Array(10),
  });
  assert.equal(count(inputIds.data, IMAGE_TOKEN), 256);
  assert.equal(count(inputIds.data, AUDIO_TOKEN), 188);
  assert.equal(count(tokenTypeIds.data, 1), 256);
  assert.equal(count(tokenTypeIds.data, 3), 188);
});

test("the soft token counts can be set", async () => {
  const { processor } = makeProcessor({ imageSeqLength: 4, audioSeqLength: 3 });
  const { inputIds } = await processor.process({
    text: IMAGE + AUDIO,
    images: pixels(),
    audio: new Float32Array(1),
  });
  assert.equal(count(inputIds.data, IMAGE_TOKEN), 4);
  assert.equal(count(inputIds.data, AUDIO_TOKEN), 3);
  assert.deepEqual(
    parseProcessorConfig({ image_seq_length: 4, audio_seq_length: 3 }),
    { imageSeqLength: 4, audioSeqLength: 3 },
  );
  assert.deepEqual(
    parseProcessorConfig({ processor_class: "Gemma3nProcessor" }),
    { imageSeqLength: undefined, audioSeqLength: undefined },
  );
});

test("process() keeps the order of flat and nested media", async () => {
  const pictures = [pixels(), pixels(), pixels()];
  const [a, b, c] = pictures as [object, object, object];
  const text = [`${IMAGE}${IMAGE} x`, `${IMAGE} y`];
  for (const images of [pictures, [[a, b], [c]] as never]) {
    const { processor, imageProcessor } = makeProcessor();
    const inputs = await processor.process({ text, images });
    assert.deepEqual(inputs.pixelValues?.shape, [3, 3, 2, 2]);
    imageProcessor.seen[0]!.forEach((image, i) =>
      assert.equal(image, pictures[i])
    );
  }
});

test("process() gives an empty text its <bos>", async () => {
  const { inputIds, attentionMask } = await processor.process({ text: "" });
  assert.deepEqual([...inputIds.data], [BOS]);
  assert.deepEqual([...attentionMask.data], [1]);
});

test("process() pads on the left and never cuts", async () => {
  const text = ["hi", "hi there"];
  const { inputIds, attentionMask } = await processor.process(
    { text },
    { padding: "maxLength", maxLength: 12 },
  );
  assert.deepEqual(inputIds.shape, [2, 12]);
  assert.deepEqual(
    [...inputIds.data.slice(0, 12)],
    [0, 0, 0, 0, 0, 0, 0, 0, 0, BOS, 338, 339],
  );
  assert.deepEqual(
    [...attentionMask.data.slice(0, 12)],
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1],
  );
  const refused = [
    { padding: false },
    { padding: "maxLength" },
    { maxLength: 3 },
    { padding: "maxLength", maxLength: 3 },
  ] as const;
  for (const options of refused) {
    await assert.rejects(processor.process({ text }, options), InputError);
  }
  const alone = await processor.process({ text: "hi" }, { padding: false });
  assert.deepEqual(alone.inputIds.shape, [1, 3]);
});

test("process() pads on the right where the tokenizer says so", async () => {
  const config = JSON.parse(await referenceText("tiny/tokenizer_config.json"));
  const tokenizer = new GemmaTokenizer(
    JSON.parse(await referenceText("tiny/tokenizer.json")),
    { ...config, padding_side: "right" },
  );
  const { processor } = makeProcessor({ tokenizer });
  const { inputIds } = await processor.process({ text: ["", "hi"] });
  assert.deepEqual([...inputIds.data], [BOS, 0, 0, BOS, 338, 339]);
});

test("process() refuses media that do not match the placeholders", async () => {
  const image = pixels();
  const clip = new Float32Array(1);
  const bad: [Parameters<typeof processor.process>[0], RegExp][] = [
    [{ text: IMAGE }, /1 times, 0 images/],
    [{ text: AUDIO }, /1 times, 0 audio clips/],
    [{ text: "x", images: image }, /0 times, 1 images/],
    [{ text: "x", audio: clip }, /0 times, 1 audio clips/],
    [{ text: IMAGE + IMAGE, images: [image] }, /2 times, 1 images/],
    [{ text: [IMAGE, "x"], images: [[], [image]] }, /text 0/],
    [{ text: [IMAGE], images: [[image], []] }, /2 lists of images and 1 texts/],
    [{ text: IMAGE, images: [image, [image]] as never }, /mixes/],
    [{ text: [] }, /text/],
    [{ text: undefined as never, images: [image] }, /text/],
    [{ text: ["x", 3 as never] }, /text/],
  ];
  for (const [input, message] of bad) {
    await assert.rejects(processor.process(input), (error: unknown) => {
      assert.ok(error instanceof InputError, String(error));
      assert.match(error.message, message);
      return true;
    });
  }
});

test("a placeholder spelled out in a message is no way around the count", async () => {
  const messages: Message[] = [{ role: "user", content: `see ${IMAGE}` }];
  await assert.rejects(processor.applyChatTemplate(messages), InputError);
});

test("applyChatTemplate() refuses media in the wrong conversation", async () => {
  // Parts of the first message of a system role are not rendered.
  const hidden: Message[] = [
    {
      role: "system",
      content: [{ type: "text", text: "s" }, { type: "image", url: "a.png" }],
    },
    { role: "user", content: [{ type: "image" }] },
  ];
  const plain: Message[] = [{ role: "user", content: [{ type: "image" }] }];
  await assert.rejects(
    processor.applyChatTemplate([plain, hidden]),
    /text 0 has "<image_soft_token>" 1 times, 0 images/,
  );
});

test("applyChatTemplate() refuses messages it cannot use", async () => {
  const bad: [unknown, RegExp][] = [
    [[], /at least one message/],
    [[[]], /at least one message/],
    [undefined, /at least one message/],
    [[undefined], /role is missing/],
    [[{ role: "tool", content: "x" }], /"tool"/],
    [[{ role: "user" }], /content/],
    [[{ role: "user", content: 3 }], /content/],
    [[{ role: "user", content: [{ type: "video" }] }], /"video"/],
    [[{ role: "user", content: [null] }], /part 0 of message 0/],
    [[{ role: "user", content: [{ type: "text" }] }], /text is not a string/],
    [[{ role: "assistant", content: "x" }], /must alternate/],
  ];
  for (const [messages, message] of bad) {
    await assert.rejects(
      processor.applyChatTemplate(asMessages(messages)),
      (error: unknown) => {
        assert.ok(error instanceof InputError, String(error));
        assert.match(error.message, message);
        return true;
      },
    );
  }
});

test("applyChatTemplate() writes <bos> once, also in batches", async () => {
  const short: Message[] = [{ role: "user", content: "hi" }];
  const long: Message[] = [{ role: "user", content: "hi there" }];
  const { inputIds } = await processor.applyChatTemplate([short, long]);
  const width = inputIds.shape[1]!;
  for (const row of [0, 1]) {
    const ids = inputIds.data.slice(row * width, (row + 1) * width);
    assert.equal(count(ids, BOS), 1);
  }
  const alone = await processor.applyChatTemplate(long);
  assert.deepEqual(alone.inputIds.data, inputIds.data.slice(width));
});

test("applyChatTemplate() without tokenize gives prompts as they came", async () => {
  const messages: Message[] = [{ role: "user", content: [{ type: "image" }] }];
  const prompt =
    `<bos><start_of_turn>user\n${IMAGE}<end_of_turn>\n<start_of_turn>model\n`;
  const options = { tokenize: false, addGenerationPrompt: true } as const;
  assert.equal(await processor.applyChatTemplate(messages, options), prompt);
  assert.deepEqual(
    await processor.applyChatTemplate([messages, messages], options),
    [prompt, prompt],
  );
});

test("URLs and paths go through loadMedia in order", async () => {
  const asked: string[] = [];
  const loadMedia = (reference: string | URL) => {
    asked.push(String(reference));
    return Promise.resolve(new Uint8Array([asked.length]));
  };
  const { processor, imageProcessor, featureExtractor } = makeProcessor({
    loadMedia,
  });
  const kept = pixels();
  await processor.applyChatTemplate([{
    role: "user",
    content: [
      { type: "image", url: "a.png" },
      { type: "image", image: kept },
      { type: "image", image: new URL("https://example.com/b.png") },
      { type: "audio", url: "c.wav" },
    ],
  }]);
  assert.deepEqual(asked, ["a.png", "https://example.com/b.png", "c.wav"]);
  assert.deepEqual(imageProcessor.seen, [[
    new Uint8Array([1]),
    kept,
    new Uint8Array([2]),
  ]]);
  assert.deepEqual(featureExtractor.seen, [[new Uint8Array([3])]]);
});

test("a part that is not there is named when it is needed", async () => {
  const content = [{ type: "image", url: "a.png" }] as const;
  const messages: Message[] = [{ role: "user", content }];
  await assert.rejects(
    processor.applyChatTemplate(messages),
    /Cannot load "a.png".*loadMedia/,
  );
  const bare = makeProcessor({
    chatTemplate: undefined,
    imageProcessor: undefined,
    featureExtractor: undefined,
  }).processor;
  await assert.rejects(bare.applyChatTemplate(messages), /chat template/);
  await assert.rejects(
    bare.process({ text: IMAGE, images: pixels() }),
    /no image processor/,
  );
  await assert.rejects(
    bare.process({ text: AUDIO, audio: new Float32Array(1) }),
    /no feature extractor/,
  );
});

test("a tokenizer without media tokens serves text alone", async () => {
  const json = JSON.parse(await referenceText("tiny/tokenizer.json"));
  const config = JSON.parse(await referenceText("tiny/tokenizer_config.json"));
  const text = { bos_token: "<bos>", pad_token: "<pad>" };
  const { processor } = makeProcessor({
    tokenizer: new GemmaTokenizer(json, text),
  });
  const { inputIds } = await processor.process({ text: "hi", images: [] });
  assert.deepEqual([...inputIds.data], [BOS, 338, 339]);
  await assert.rejects(
    processor.process({ text: IMAGE, images: pixels() }),
    InputError,
  );
  const { eoi_token: _, ...partial } = config;
  assert.throws(
    () => makeProcessor({ tokenizer: new GemmaTokenizer(json, partial) }),
    CheckpointError,
  );
});

test("decode() and batchDecode() give texts", () => {
  const ids = [BOS, 338, 339];
  assert.equal(processor.decode(ids), "<bos>hi");
  assert.deepEqual(
    processor.batchDecode([ids, Int32Array.from(ids)], {
      skipSpecialTokens: true,
    }),
    ["hi", "hi"],
  );
});
