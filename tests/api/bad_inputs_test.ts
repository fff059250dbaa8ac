// Calls that cannot be answered: each refused with its class and a message
// that names what was found, after which the model answers as before.
import assert from "node:assert/strict";
import { after, test } from "node:test";

import { AutoProcessor } from "../../src/api/auto_processor.ts";
import type {
  Gemma3nGenerateOptions,
  Gemma3nInputs,
} from "../../src/api/model_io.ts";
import {
  type HostDtype,
  type HostTensor,
  hostTensor,
} from "../../src/core/tensor.ts";
import type { Message } from "../../src/processing/messages.ts";
import { referencePath } from "../golden.ts";
import { expectedIds, expectedInputs, loadTiny } from "../model.ts";

const CONTEXT = 1024;
const model = await loadTiny("wasm", { contextLength: CONTEXT });
after(() => model.dispose());
const processor = await AutoProcessor.fromPretrained(referencePath("tiny"));
const text = await expectedInputs("text");
const image = await expectedInputs("image");
const audio = await expectedInputs("audio");
const [expected] = await expectedIds("text");

async function assertStillWorks(): Promise<void> {
  const { sequences } = await model.generate({ ...text, maxNewTokens: 4 });
  assert.deepEqual([...sequences[0]!.subarray(-4)], expected!.slice(0, 4));
}

/** Something a caller without types may pass. */
type Anything = Readonly<Record<string, unknown>>;

const ids = (...values: number[]) =>
  hostTensor("int32", [1, values.length], Int32Array.from(values));

function filled<T extends HostDtype>(
  tensor: HostTensor<T>,
  at: number,
  value: number,
): HostTensor<T> {
  const data = tensor.data.slice() as typeof tensor.data;
  data[at] = value;
  return { ...tensor, data };
}

/** The first `count` slices of a tensor. */
function take<T extends HostDtype>(
  { dtype, shape, data }: HostTensor<T>,
  count: number,
): HostTensor<T> {
  const size = data.length / shape[0]!;
  return hostTensor(
    dtype,
    [count, ...shape.slice(1)],
    data.slice(0, count * size) as typeof data,
  );
}

const pixels = image.pixelValues!;
const mels = audio.inputFeatures!;
const melMask = audio.inputFeaturesMask!;

/** Inputs, and how forward() and generate() refuse them. */
const INPUTS: Readonly<Record<string, [Anything | undefined, RegExp]>> = {
  "nothing": [undefined, /its inputs are undefined, wanted an object/],
  "no ids": [{}, /"inputIds": it is undefined, wanted \{ dtype: "int32"/],
  "a list of ids": [{ inputIds: [2, 5] }, /"inputIds": it has no dtype/],
  "ids in 64 bits": [
    {
      inputIds: { dtype: "int64", shape: [1, 1], data: BigInt64Array.of(2n) },
    },
    /its dtype is "int64", wanted \{ dtype: "int32"/,
  ],
  "ids of another array": [
    { inputIds: { dtype: "int32", shape: [1, 1], data: [2] } },
    /its data is Array/,
  ],
  "ids without a batch": [
    { inputIds: { dtype: "int32", shape: [3], data: new Int32Array(3) } },
    /its shape is \[3\], wanted .* shape: \[B,T\]/,
  ],
  "ids that do not fill their shape": [
    { inputIds: { dtype: "int32", shape: [2, 3], data: new Int32Array(5) } },
    /its shape \[2,3\] has 6 elements and its data 5/,
  ],
  "an empty batch": [
    { inputIds: hostTensor("int32", [0, 3], new Int32Array()) },
    /shape \[0,3\], there must be at least one sequence/,
  ],
  "no tokens": [
    { inputIds: hostTensor("int32", [2, 0], new Int32Array()) },
    /shape \[2,0\], there must be at least one/,
  ],
  "padding alone": [
    { inputIds: ids(0, 0), attentionMask: ids(0, 0) },
    /sequence 0 has no tokens, all its 2 columns are padding/,
  ],
  "a mask of another shape": [
    { inputIds: ids(2, 5, 9), attentionMask: ids(1, 1) },
    /inputIds have shape \[1,3\], attentionMask has \[1,2\]/,
  ],
  "a mask of floats": [
    {
      inputIds: ids(2),
      attentionMask: hostTensor("float32", [1, 1], Float32Array.of(1)),
    },
    /"attentionMask": its dtype is "float32"/,
  ],
  "an id beyond the vocabulary": [
    { inputIds: ids(2, 2064) },
    /token 2064 is outside its vocabulary of 2064/,
  ],
  "a negative id": [{ inputIds: ids(2, -1) }, /token -1 is outside/],
  "pictures without placeholders": [
    { ...text, pixelValues: pixels },
    /has 0 placeholders \(token 2049\), the pictures make 256 soft tokens/,
  ],
  "fewer pictures than placeholders": [
    { ...await expectedInputs("images"), pixelValues: pixels },
    /has 512 placeholders .* make 256/,
  ],
  "fewer clips than placeholders": [
    {
      ...await expectedInputs("two_clips"),
      inputFeatures: take(mels, 1),
      inputFeaturesMask: take(melMask, 1),
    },
    /has 376 placeholders .* the clips make 188/,
  ],
  "pictures as bytes": [
    {
      ...image,
      pixelValues: hostTensor("uint8", pixels.shape, new Uint8Array(196_608)),
    },
    /"pixelValues": its dtype is "uint8"/,
  ],
  "pictures with the colours last": [
    { ...image, pixelValues: { ...pixels, shape: [1, 256, 256, 3] } },
    /pixelValues of shape \[1,256,256,3\]: \[N,3,height,width\]/,
  ],
  "one picture without a batch": [
    { ...image, pixelValues: { ...pixels, shape: [3, 256, 256] } },
    /"pixelValues": its shape is \[3,256,256\]/,
  ],
  "NaN in a picture": [
    { ...image, pixelValues: filled(pixels, 777, NaN) },
    /pixelValues: element 777 is NaN, wanted finite numbers/,
  ],
  "infinity in a clip": [
    { ...audio, inputFeatures: filled(mels, 99, -Infinity) },
    /inputFeatures: element 99 is -Infinity/,
  ],
  "a clip without its mask": [
    { ...audio, inputFeaturesMask: undefined },
    /"inputFeatures" came without "inputFeaturesMask"/,
  ],
  "a mask without its clip": [
    { ...audio, inputFeatures: undefined },
    /"inputFeaturesMask" came without "inputFeatures"/,
  ],
  "a clip of other bins": [
    {
      ...audio,
      inputFeatures: hostTensor("float32", [1, 2, 4], new Float32Array(8)),
      inputFeaturesMask: hostTensor("uint8", [1, 2], new Uint8Array(2)),
    },
    /inputFeatures are \[1,2,4\] .* \[C,F,128\] and \[C,F\] are needed/,
  ],
  "a mask of other frames": [
    {
      ...audio,
      inputFeaturesMask: hostTensor("uint8", [1, 2], new Uint8Array(2)),
    },
    /inputFeaturesMask is \[1,2\]/,
  ],
};

for (const [what, [inputs, message]] of Object.entries(INPUTS)) {
  test(`forward() and generate() refuse ${what}`, async () => {
    const refused = { name: "InputError", message };
    await assert.rejects(
      model.forward(inputs as unknown as Gemma3nInputs),
      refused,
    );
    const options = inputs && { ...inputs, maxNewTokens: 1 };
    await assert.rejects(
      model.generate(options as unknown as Gemma3nGenerateOptions),
      refused,
    );
    await assertStillWorks();
  });
}

test("features refuse what is no tensor", async () => {
  await assert.rejects(model.getImageFeatures(undefined as never), {
    name: "InputError",
    message: /"pixelValues": it is undefined/,
  });
  await assert.rejects(model.getAudioFeatures(mels, undefined as never), {
    name: "InputError",
    message: /"inputFeaturesMask": it is undefined/,
  });
});

test("prompts beyond the context are refused before anything is computed", async () => {
  const long = hostTensor(
    "int32",
    [1, CONTEXT + 1],
    new Int32Array(CONTEXT + 1).fill(7),
  );
  await assert.rejects(model.forward({ inputIds: long }), {
    name: "ContextLengthError",
    message: /a contextLength of 1024/,
  });
  // A picture that would be refused, were it looked at first.
  const pixelValues = filled(pixels, 0, NaN);
  await assert.rejects(
    model.generate({ pixelValues, inputIds: long }),
    {
      name: "ContextLengthError",
      message: /a prompt of 1025 tokens: the context holds 1024/,
      requested: 1026,
      available: 1024,
    },
  );
  await assert.rejects(
    model.generate({ ...text, maxNewTokens: CONTEXT }),
    { name: "ContextLengthError", message: /the context holds 1024; lower/ },
  );
  using cache = model.createCache({ maxLength: 4 });
  await assert.rejects(model.forward(text, { pastKeyValues: cache }), {
    name: "ContextLengthError",
    message: /its cache has room for 4/,
  });
  await assertStillWorks();
});

test("caches and counts that cannot be", async () => {
  for (const maxLength of [0, 1.5, -3, NaN, "7"]) {
    assert.throws(() => model.createCache({ maxLength: maxLength as number }), {
      name: "InputError",
      message: /"maxLength" must be a whole number/,
    });
  }
  assert.throws(() => model.createCache({ maxLength: CONTEXT + 1 }), {
    name: "ContextLengthError",
    message: /a cache of 1025 tokens/,
  });
  for (const logitsToKeep of [-1, 0.5, NaN]) {
    await assert.rejects(model.forward(text, { logitsToKeep }), {
      name: "InputError",
      message: /"logitsToKeep" is/,
    });
  }
  await assertStillWorks();
});

test("prompts and conversations that cannot be", async () => {
  const say = (role: Message["role"], content: Message["content"] = "x") =>
    ({ role, content }) as Message;
  const conversations: [readonly Message[], RegExp][] = [
    [[], /not a list with at least one message/],
    [[say("user"), say("user")], /roles must alternate/],
    [[say("assistant")], /roles must alternate/],
    [[say("tool" as never)], /message 0: its role is "tool", wanted/],
    [[say("user", 3 as never)], /message 0: its content is neither/],
    [[say("user", [{ type: "video" } as never])], /its type is "video"/],
    [
      [say("user", [{ type: "image" }, { type: "text", text: "?" }])],
      /"<image_soft_token>" 1 times, 0 images were given/,
    ],
    [[say("user", "half a \ud83d pair")], /lone surrogate U\+D83D/],
  ];
  for (const [messages, message] of conversations) {
    await assert.rejects(processor.applyChatTemplate(messages), {
      name: "InputError",
      message,
    });
  }
  await assert.rejects(
    processor.process({ text: ["two", "texts"], images: ["a.png"] }),
    { name: "InputError", message: /"<image_soft_token>" 0 times, 1 images/ },
  );
  await assert.rejects(processor.process({ text: [] }), {
    name: "InputError",
    message: /a list of at least one string/,
  });
  await assert.rejects(processor.process(undefined as never), {
    name: "InputError",
    message: /its text is not a string/,
  });
});
