// The pipelines with real media, in every form in which inputs come.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";

import {
  createPipeline,
  type Pipeline,
  pipeline,
  type PipelineResult,
} from "../../src/api/pipeline.ts";
import type {
  PipelineInput,
  PipelineTask,
} from "../../src/api/pipeline_input.ts";
import { decodeImage } from "../../src/codecs/decode_image.ts";
import type { Message } from "../../src/processing/messages.ts";
import type { AudioSource, ImageSource } from "../../src/processing/media.ts";
import { cases, referenceBytes, referencePath } from "../golden.ts";
import { serveFiles } from "../io/http_server.ts";
import { expectedIds, loadTiny } from "../model.ts";

const SYSTEM = "당신은 도움이 되는 어시스턴트입니다.";
const ASK_IMAGE = "이 이미지에 무엇이 보이나요?";
const CAT = referencePath("media/cat.png");
const SPEECH = referencePath("media/speech-16k.wav");

const loaded = await pipeline("any-to-any", referencePath("tiny"), {
  dtype: "f32",
  contextLength: 2048,
  onWarning: (warning) => {
    throw new Error(`Unexpected warning: ${warning}`);
  },
});
const { model, processor } = loaded;
after(() => loaded.dispose());

const of = (task: PipelineTask): Pipeline =>
  createPipeline(task, model, processor);

/** A case's answer, and the number of new tokens it takes. */
async function expectedText(name: "text" | "image" | "audio" | "mixed") {
  const [ids] = await expectedIds(name);
  const text = processor.decode(ids!, { skipSpecialTokens: true });
  return { text, maxNewTokens: ids!.length };
}

function only(results: readonly PipelineResult[]): PipelineResult {
  assert.equal(results.length, 1);
  return results[0]!;
}

const bytesOf = async (name: string) =>
  new Uint8Array(await referenceBytes(`media/${name}`));

function dataUrl(type: string, bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return `data:${type};base64,${btoa(binary)}`;
}

/** 16-bit samples after a header of 44 bytes. */
function samplesOf(wav: Uint8Array): Float32Array {
  const view = new DataView(wav.buffer, wav.byteOffset + 44);
  return Float32Array.from(
    { length: view.byteLength / 2 },
    (_, i) => view.getInt16(2 * i, true) / 32768,
  );
}

test("text-generation continues a text as it stands", async () => {
  const { text, maxNewTokens } = await expectedText("text");
  const result = only(
    await of("text-generation")("The capital of France is", { maxNewTokens }),
  );
  assert.deepEqual(result, {
    generatedText: text,
    messages: [
      { role: "user", content: "The capital of France is" },
      { role: "assistant", content: text },
    ],
    finishReason: "length",
  });
  const golden = (await cases()).find(({ name }) => name === "text")!;
  assert.equal(text, golden.generated[0]);
});

/** A picture or clip in one form, of its bytes and the address that serves them. */
type Form<T> = (bytes: Uint8Array<ArrayBuffer>, address: string) => T;

const PICTURES: Readonly<
  Record<string, Form<ImageSource | Promise<ImageSource>>>
> = {
  "a path": () => CAT,
  "a file: URL": () => pathToFileURL(CAT).href,
  "a URL object": () => pathToFileURL(CAT),
  "an http: URL": (_, address) => `${address}/cat.png`,
  "a data: URL": (bytes) => dataUrl("image/png", bytes),
  "bytes": (bytes) => bytes,
  "a buffer": (bytes) => bytes.buffer,
  "a Blob": (bytes) => new Blob([bytes]),
  "RGB pixels": (bytes) => decodeImage(bytes),
  "RGBA pixels": async (bytes) => {
    const { width, height, data } = await decodeImage(bytes);
    const rgba = new Uint8ClampedArray(width * height * 4).fill(255);
    for (let i = 0; i < width * height; i++) {
      rgba.set(data.subarray(3 * i, 3 * i + 3), 4 * i);
    }
    return { width, height, data: rgba };
  },
};

for (const [form, make] of Object.entries(PICTURES)) {
  test(`image-text-to-text takes ${form}`, async () => {
    const { text, maxNewTokens } = await expectedText("image");
    const bytes = await bytesOf("cat.png");
    await using server = await serveFiles({ "/cat.png": bytes });
    const images = await make(bytes, server.address);
    const options = { maxNewTokens, system: SYSTEM };
    const describe = of("image-text-to-text");
    const result = only(await describe({ text: ASK_IMAGE, images }, options));
    assert.equal(result.generatedText, text);
  });
}

test("image-text-to-text takes messages, and a list of pictures", async () => {
  const { text, maxNewTokens } = await expectedText("image");
  const describe = of("image-text-to-text");
  const messages: Message[] = [
    { role: "system", content: SYSTEM },
    {
      role: "user",
      content: [
        { type: "image", url: CAT },
        { type: "text", text: ASK_IMAGE },
      ],
    },
  ];
  const whole = only(await describe(messages, { maxNewTokens }));
  assert.equal(whole.generatedText, text);
  assert.deepEqual(whole.messages, [
    ...messages,
    { role: "assistant", content: text },
  ]);
  const list = { text: ASK_IMAGE, images: [CAT] };
  const options = { maxNewTokens, system: SYSTEM };
  assert.equal(only(await describe(list, options)).generatedText, text);
});

const CLIPS: Readonly<Record<string, Form<AudioSource>>> = {
  "a path": () => SPEECH,
  "a URL object": () => pathToFileURL(SPEECH),
  "an http: URL": (_, address) => `${address}/speech.wav`,
  "a data: URL": (bytes) => dataUrl("audio/wav", bytes),
  "bytes": (bytes) => bytes,
  "a buffer": (bytes) => bytes.buffer,
  "a Blob": (bytes) => new Blob([bytes]),
  "samples": samplesOf,
  "samples with their rate": (bytes) => ({
    data: samplesOf(bytes),
    samplingRate: 16_000,
  }),
};

for (const [form, make] of Object.entries(CLIPS)) {
  test(`automatic-speech-recognition takes ${form}`, async () => {
    const { text, maxNewTokens } = await expectedText("audio");
    const bytes = await bytesOf("speech-16k.wav");
    await using server = await serveFiles({ "/speech.wav": bytes });
    const clip = make(bytes, server.address);
    const options = { maxNewTokens, system: SYSTEM };
    const transcribe = of("automatic-speech-recognition");
    for (const input of [clip, { audio: clip }]) {
      const result = only(await transcribe(input as PipelineInput, options));
      assert.equal(result.generatedText, text);
    }
  });
}

test("automatic-speech-recognition asks in other words, for one or for all", async () => {
  const { text, maxNewTokens } = await expectedText("audio");
  const samples = samplesOf(await bytesOf("speech-16k.wav"));
  const transcribe = of("automatic-speech-recognition");
  const options = { maxNewTokens, system: SYSTEM };
  const asked = { text: "What is said?", audio: samples };
  const own = only(await transcribe(asked, { ...options, prompt: "No." }));
  const option = only(
    await transcribe(samples, { ...options, prompt: "What is said?" }),
  );
  assert.equal(own.generatedText, option.generatedText);
  assert.notEqual(own.generatedText, text);
});

test("audio-text-to-text and any-to-any take sound beside pictures", async () => {
  const { text, maxNewTokens } = await expectedText("mixed");
  const input = {
    text: "Does the speech describe the picture?",
    images: CAT,
    audio: new Blob([await bytesOf("speech-16k.wav")]),
  };
  for (const task of ["audio-text-to-text", "any-to-any"] as const) {
    const options = { maxNewTokens, system: SYSTEM };
    const result = only(await of(task)(input, options));
    assert.equal(result.generatedText, text, task);
  }
});

test("a batch answers each input as it would alone", async () => {
  const ask = of("any-to-any");
  const inputs: PipelineInput[] = [
    { text: ASK_IMAGE, images: CAT },
    "Hello, who are you?",
    [{ role: "user", content: "Only text." }],
    { text: "Transcribe the audio.", audio: SPEECH },
  ];
  const options = { maxNewTokens: 8, system: SYSTEM };
  const together = await ask(inputs, options);
  assert.equal(together.length, inputs.length);
  for (const [i, input] of inputs.entries()) {
    assert.deepEqual(together[i], await ask(input, options), `input ${i}`);
  }
  const texts = ["One text", "and another one"];
  const generate = of("text-generation");
  const raw = await generate(texts, { maxNewTokens: 5 });
  for (const [i, text] of texts.entries()) {
    assert.deepEqual(raw[i], await generate(text, { maxNewTokens: 5 }));
  }
});

test("messages of a result carry on to the next turn", async () => {
  const ask = of("any-to-any");
  const first = only(
    await ask({ text: ASK_IMAGE, images: CAT }, {
      maxNewTokens: 6,
      system: SYSTEM,
    }),
  );
  const question: Message = { role: "user", content: "And where?" };
  const second = only(
    await ask([...first.messages, question], { maxNewTokens: 6 }),
  );
  assert.deepEqual(second.messages, [
    ...first.messages,
    question,
    { role: "assistant", content: second.generatedText },
  ]);
  const inputs = await processor.applyChatTemplate([
    ...first.messages,
    question,
  ], { addGenerationPrompt: true });
  const { sequences } = await model.generate({ ...inputs, maxNewTokens: 6 });
  const ids = sequences[0]!.subarray(inputs.inputIds.shape[1]!);
  assert.equal(
    processor.decode(ids, { skipSpecialTokens: true }),
    second.generatedText,
  );
});

test("examples with several pictures and clips keep their order", async () => {
  const user = (...content: Message["content"][number][]): Message =>
    ({ role: "user", content }) as Message;
  const image = (name: string) => ({
    type: "image" as const,
    url: referencePath(`media/${name}`),
  });
  const audio = (name: string) => ({
    type: "audio" as const,
    url: referencePath(`media/${name}`),
  });
  const words = (text: string) => ({ type: "text" as const, text });
  const few = (first: string, second: string): Message[] => [
    user(image(first), words("Animal or plant?")),
    { role: "assistant", content: "Animal." },
    user(audio("speech-16k.wav"), words("Who speaks?"), image(second)),
    { role: "assistant", content: "A machine." },
    user(words("Again:"), image("china.jpg"), audio("speech-16k.wav")),
  ];
  const messages = few("cat.png", "flower.jpg");
  const inputs = await processor.applyChatTemplate(messages, {
    addGenerationPrompt: true,
  });
  assert.deepEqual(inputs.pixelValues!.shape, [3, 3, 256, 256]);
  assert.equal(inputs.inputFeatures!.shape[0], 2);
  const { logits, imageHiddenStates } = await model.forward(inputs, {
    logitsToKeep: 1,
  });
  const swapped = await model.forward(
    await processor.applyChatTemplate(few("flower.jpg", "cat.png"), {
      addGenerationPrompt: true,
    }),
    { logitsToKeep: 1 },
  );
  const [, S, D] = imageHiddenStates!.shape as [number, number, number];
  assert.deepEqual(
    imageHiddenStates!.data.subarray(0, S * D),
    swapped.imageHiddenStates!.data.subarray(S * D, 2 * S * D),
  );
  assert.notDeepEqual(logits.data, swapped.logits.data);
});

test("stream() gives the text of a call in pieces", async () => {
  const ask = of("any-to-any");
  const input = { text: ASK_IMAGE, images: CAT };
  const options = { maxNewTokens: 23, system: SYSTEM };
  const pieces: string[] = [];
  for await (const piece of ask.stream(input, options)) pieces.push(piece);
  assert.equal(pieces.join(""), only(await ask(input, options)).generatedText);
  assert.ok(pieces.length > 3, `${pieces.length} pieces`);
});

test("leaving a stream ends the generation", async () => {
  const ask = of("text-generation");
  let pieces = 0;
  let steps = 0;
  const options = {
    maxNewTokens: 1500,
    eosTokenId: [],
    logitsProcessors: [() => void steps++],
  };
  for await (const _ of ask.stream("Once upon a time", options)) {
    if (++pieces === 3) break;
  }
  assert.equal(pieces, 3);
  const taken = steps;
  await ask("Hello", { maxNewTokens: 8 });
  assert.equal(steps, taken);
});

test("an abort ends a call and a stream with its reason", async () => {
  const ask = of("text-generation");
  const reason = new Error("enough");
  const controller = new AbortController();
  const options = {
    maxNewTokens: 1500,
    eosTokenId: [],
    signal: controller.signal,
  };
  const call = ask("Once", options);
  const stream = (async () => {
    for await (const _ of ask.stream("Once", options)) { /* until it throws */ }
  })();
  setTimeout(() => controller.abort(reason), 20);
  const settled = await Promise.allSettled([call, stream]);
  assert.deepEqual(settled, [
    { status: "rejected", reason },
    { status: "rejected", reason },
  ]);
  await assert.rejects(ask("Once", options), reason);
});

test("several samples of each input, again by their seed", async () => {
  const ask = of("text-generation");
  const options = {
    maxNewTokens: 6,
    doSample: true,
    seed: 3,
    numReturnSequences: 3,
  };
  const results = await ask(["One", "Two"], options);
  assert.deepEqual(results.map((list) => list.length), [3, 3]);
  assert.deepEqual(await ask(["One", "Two"], options), results);
  assert.ok(new Set(results[0]!.map((one) => one.generatedText)).size > 1);
});

test("a stop string ends the text before it", async () => {
  const ask = of("text-generation");
  const { text, maxNewTokens } = await expectedText("text");
  const stop = text.slice(10, 13);
  const result = only(
    await ask("The capital of France is", { maxNewTokens, stopStrings: stop }),
  );
  assert.equal(result.generatedText, text.slice(0, text.indexOf(stop)));
  assert.equal(result.finishReason, "stop");
  let streamed = "";
  const options = { maxNewTokens, stopStrings: [stop] };
  for await (
    const piece of ask.stream("The capital of France is", options)
  ) streamed += piece;
  assert.equal(streamed, result.generatedText);
});

test("what is no input is refused, and the pipeline goes on", async () => {
  const refused: [PipelineTask, unknown, RegExp][] = [
    ["any-to-any", [], /an empty list/],
    ["any-to-any", 7, /wanted a text, a list of messages/],
    ["any-to-any", null, /wanted a text, a list of messages/],
    ["image-text-to-text", new Uint8Array(3), /wanted a text/],
    ["automatic-speech-recognition", { text: "no clip" }, /it has no audio/],
    ["automatic-speech-recognition", undefined, /it has no audio/],
    ["automatic-speech-recognition", 5, /clip 0 is neither bytes/],
    [
      "automatic-speech-recognition",
      "none.wav",
      /"none.wav": there is no such/,
    ],
    ["any-to-any", [{ role: "robot", content: "" }], /its role is "robot"/],
    [
      "any-to-any",
      [{ role: "assistant", content: "" }],
      /roles must alternate/,
    ],
    ["any-to-any", { text: "", images: [3] }, /neither bytes of a/],
    ["text-generation", ["a", [{ role: "user", content: "b" }]], /mixes texts/],
    ["text-generation", { text: 3 }, /its text is not a string/],
  ];
  for (const [task, input, message] of refused) {
    await assert.rejects(of(task)(input as PipelineInput), {
      name: "InputError",
      message,
    });
  }
  assert.throws(() => of("translation" as PipelineTask), {
    name: "InputError",
    message: /task "translation": the tasks are "text-generation", /,
  });
  await assert.rejects(pipeline("translation" as PipelineTask, "none"), {
    name: "InputError",
    message: /task "translation"/,
  });
  const bad = of("any-to-any").stream("x", { maxNewTokens: 0 });
  await assert.rejects(bad.next(), { name: "InputError" });
  const { text, maxNewTokens } = await expectedText("text");
  const result = await of("text-generation")("The capital of France is", {
    maxNewTokens,
  });
  assert.equal(only(result).generatedText, text);
});

test("a pipeline disposes its model", async () => {
  await using other = createPipeline(
    "text-generation",
    await loadTiny("wasm"),
    processor,
  );
  await other("Hello", { maxNewTokens: 1 });
  await other.dispose();
  await assert.rejects(other("Hello", { maxNewTokens: 1 }), {
    name: "InputError",
    message: /it was disposed/,
  });
});

test("a decoder alone continues texts, and says what it cannot take", async () => {
  await using generate = await pipeline(
    "text-generation",
    referencePath("tiny-text"),
    { dtype: "f32" },
  );
  const { text } = await expectedText("text");
  const prompt = "The capital of France is";
  // Of f16 weights: the same first words.
  const result = only(await generate(prompt, { maxNewTokens: 3 }));
  assert.ok(text.startsWith(result.generatedText));
  for (const input of [{ text: "", images: CAT }, [{ role: "user" }]]) {
    await assert.rejects(generate(input as PipelineInput), {
      name: "InputError",
      message: /the checkpoint has none; use process\(\) with a text/,
    });
  }
});
