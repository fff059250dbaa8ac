// One model in every spelling that its files have had.
import assert from "node:assert/strict";
import { test } from "node:test";

import { AutoProcessor } from "../../src/api/auto_processor.ts";
import { Gemma3nForCausalLM } from "../../src/api/gemma3n_for_causal_lm.ts";
import { Gemma3nForConditionalGeneration } from "../../src/api/gemma3n_for_conditional_generation.ts";
import { Gemma3nTextModel } from "../../src/api/gemma3n_text_model.ts";
import type { ModelOptions } from "../../src/api/model_options.ts";
import type { ModelSource } from "../../src/hub/source.ts";
import type { Message } from "../../src/processing/messages.ts";
import { golden, referencePath } from "../golden.ts";
import {
  expectedIds,
  expectedInputs,
  LOGITS_ATOL,
  MODEL_DEVICES,
} from "../model.ts";
import { assertClose } from "../testing.ts";
import {
  editedCheckpoint,
  editJson,
  editTensors,
  renamedTensors,
} from "./edited_checkpoint.ts";

const tiny2025 = editedCheckpoint(["tiny-2025", "tiny"], {
  "chat_template.jinja": () => undefined,
});

/** Options under which any warning fails the test. */
function quietly(options: ModelOptions = {}): ModelOptions {
  return {
    dtype: "f32",
    contextLength: 1024,
    onWarning: (warning) => {
      throw new Error(`Unexpected warning: ${warning}`);
    },
    ...options,
  };
}

const load = (source: ModelSource, options?: ModelOptions) =>
  Gemma3nForConditionalGeneration.fromPretrained(source, quietly(options));

const CONVERSATION: readonly Message[] = [
  { role: "system", content: "당신은 도움이 되는 어시스턴트입니다." },
  {
    role: "user",
    content: [
      { type: "image", url: referencePath("media/cat.png") },
      { type: "audio", url: referencePath("media/speech-16k.wav") },
      { type: "text", text: "Does the speech describe the picture?" },
    ],
  },
];

test("files of 2025 give the prompts, ids, pixels and mels of today's", async () => {
  const today = await AutoProcessor.fromPretrained(referencePath("tiny"));
  const old = await AutoProcessor.fromPretrained(tiny2025);
  const prompt = { addGenerationPrompt: true, tokenize: false } as const;
  assert.equal(
    await old.applyChatTemplate(CONVERSATION, prompt),
    await today.applyChatTemplate(CONVERSATION, prompt),
  );
  const inputs = await old.applyChatTemplate(CONVERSATION, {
    addGenerationPrompt: true,
  });
  assert.deepEqual(
    inputs,
    await today.applyChatTemplate(CONVERSATION, { addGenerationPrompt: true }),
  );
  const expected = (await golden()).int32("mixed.input_ids");
  assert.deepEqual(inputs.inputIds, expected);
});

test("special_tokens_map.json gives the tokens that tokenizer_config.json lacks", async () => {
  const without = editedCheckpoint(["tiny-2025", "tiny"], {
    "tokenizer_config.json": editJson((json) => {
      for (const key of Object.keys(json)) {
        if (key.endsWith("_token")) delete json[key];
      }
    }),
  });
  const [lacking, whole] = await Promise.all(
    [without, tiny2025].map((source) => AutoProcessor.fromPretrained(source)),
  );
  assert.deepEqual(
    await lacking!.applyChatTemplate(CONVERSATION),
    await whole!.applyChatTemplate(CONVERSATION),
  );
});

for (const device of MODEL_DEVICES) {
  test(`files of 2025 give the logits of today's on ${device}`, async () => {
    await using today = await load(referencePath("tiny"), { device });
    await using old = await load(tiny2025, { device });
    assert.deepEqual(old.config, today.config);
    const inputs = await expectedInputs("korean");
    assert.deepEqual(
      (await old.forward(inputs)).logits,
      (await today.forward(inputs)).logits,
    );
  });

  test(`a decoder alone in f16 gives Transformers' logits on ${device}`, async () => {
    const file = await golden("tiny-text/expected.safetensors");
    const inputs = { inputIds: file.int32("input_ids") };
    const expected = file.float32("logits");
    const source = referencePath("tiny-text");
    for (const Model of [Gemma3nForCausalLM, Gemma3nForConditionalGeneration]) {
      await using model = await Model.fromPretrained(
        source,
        quietly({ device }),
      );
      const { logits } = await model.forward(inputs);
      assert.deepEqual(logits.shape, expected.shape);
      assertClose(logits.data, expected.data, {
        atol: LOGITS_ATOL,
        label: Model.name,
      });
    }
  });
}

test("files of 2025 give the answer of today's to picture and speech", async () => {
  await using old = await load(tiny2025);
  const [expected] = await expectedIds("mixed");
  const { sequences } = await old.generate({
    ...await expectedInputs("mixed"),
    maxNewTokens: expected!.length,
  });
  assert.deepEqual([...sequences[0]!.subarray(-expected!.length)], expected);
});

/** Prefixes of a whole model, other than today's `model.` before all. */
const WHOLE_SPELLINGS: Readonly<Record<string, (name: string) => string>> = {
  "without a head (Gemma3nModel)": (name) => name.replace(/^model\./, ""),
  "with a language model of its own": (name) =>
    name.replace(/^model\.language_model\./, "language_model.model.").replace(
      /^model\.(?!language)/,
      "",
    ),
};

for (const [what, rename] of Object.entries(WHOLE_SPELLINGS)) {
  test(`names of a whole model ${what}`, async () => {
    const source = editedCheckpoint(["tiny"], renamedTensors(rename));
    await using model = await load(source);
    for (const name of ["text", "mixed"] as const) {
      const [expected] = await expectedIds(name);
      const { sequences } = await model.generate({
        ...await expectedInputs(name),
        maxNewTokens: expected!.length,
      });
      const ids = [...sequences[0]!.subarray(-expected!.length)];
      assert.deepEqual(ids, expected, name);
    }
  });
}

for (const prefix of ["", "model.language_model.", "language_model.model."]) {
  test(`names of a decoder alone below "${prefix}"`, async () => {
    const source = editedCheckpoint(
      ["tiny-text"],
      renamedTensors((name) => name.replace(/^model\./, prefix)),
    );
    const file = await golden("tiny-text/expected.safetensors");
    await using model = await Gemma3nForCausalLM.fromPretrained(
      source,
      quietly(),
    );
    const { logits } = await model.forward({
      inputIds: file.int32("input_ids"),
    });
    assertClose(logits.data, file.float32("logits").data, {
      atol: LOGITS_ATOL,
      label: "logits",
    });
  });
}

test("a decoder is taken out of a whole checkpoint, its towers left alone", async () => {
  const source = editedCheckpoint(["tiny"]);
  await using whole = await load(referencePath("tiny"));
  await using decoder = await Gemma3nForCausalLM.fromPretrained(
    source,
    quietly(),
  );
  await using headless = await Gemma3nTextModel.fromPretrained(
    source,
    quietly(),
  );
  assert.deepEqual(decoder.config, whole.config.textConfig);
  const inputs = await expectedInputs("batch");
  const { logits } = await decoder.forward(inputs);
  assert.deepEqual(logits, (await whole.forward(inputs)).logits);
  const { lastHiddenState } = await headless.forward(inputs);
  const [B, T] = inputs.inputIds.shape;
  assert.deepEqual(lastHiddenState.shape, [B, T, decoder.config.hiddenSize]);
});

test("a dtype in config.json is not needed, however it is spelled", async () => {
  const inputs = await expectedInputs("text");
  await using plain = await load(referencePath("tiny"));
  const { logits } = await plain.forward(inputs);
  for (
    const fields of [
      { torch_dtype: "float32" },
      { dtype: "float16" },
      { torch_dtype: "torch.bfloat16" },
      { torch_dtype: null },
    ]
  ) {
    const source = editedCheckpoint(["tiny"], {
      "config.json": editJson((json) => {
        delete json.dtype;
        Object.assign(json, fields);
      }),
    });
    await using model = await load(source);
    assert.deepEqual((await model.forward(inputs)).logits, logits);
  }
});

/** tiny-text with a head, which has the embedding's rows in reverse or as they are. */
function withHead(reversed: boolean, tied: boolean | undefined) {
  return editedCheckpoint(["tiny-text"], {
    "config.json": editJson((json) => {
      json.tie_word_embeddings = tied;
    }),
    "model.safetensors": editTensors((tensors) => {
      const embedding = tensors.get("model.embed_tokens.weight")!;
      const [V] = embedding.shape as [number];
      const rowBytes = embedding.bytes.length / V;
      const bytes = new Uint8Array(embedding.bytes.length);
      for (let row = 0; row < V; row++) {
        const from = reversed ? V - 1 - row : row;
        const values = embedding.bytes.subarray(
          from * rowBytes,
          (from + 1) * rowBytes,
        );
        bytes.set(values, row * rowBytes);
      }
      tensors.set("lm_head.weight", { ...embedding, bytes });
    }),
  });
}

async function tinyTextLogits(source: ModelSource, warnings?: string[]) {
  const file = await golden("tiny-text/expected.safetensors");
  const options = warnings
    ? { onWarning: (warning: string) => void warnings.push(warning) }
    : {};
  await using model = await Gemma3nForCausalLM.fromPretrained(
    source,
    quietly(options),
  );
  return (await model.forward({ inputIds: file.int32("input_ids") })).logits;
}

function reverseRows(
  { shape, data }: { shape: readonly number[]; data: Float32Array },
): Float32Array {
  const V = shape[2]!;
  return data.map((_, i) => data[i - i % V + (V - 1 - i % V)]!);
}

test("an untied head is used", async () => {
  const tied = await tinyTextLogits(referencePath("tiny-text"));
  const untied = await tinyTextLogits(withHead(true, false));
  assert.deepEqual(untied.data, reverseRows(tied));
});

test("a head like the embedding to which it is tied says nothing new", async () => {
  const tied = await tinyTextLogits(referencePath("tiny-text"));
  assert.deepEqual(await tinyTextLogits(withHead(false, true)), tied);
});

test("a head unlike the embedding to which it is tied is used, and told", async () => {
  const warnings: string[] = [];
  const tied = await tinyTextLogits(referencePath("tiny-text"));
  const untied = await tinyTextLogits(withHead(true, undefined), warnings);
  assert.deepEqual(untied.data, reverseRows(tied));
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /"lm_head.weight" differs from/);
});

test("an untied head that is missing is told; a model without a head does not need it", async () => {
  const source = editedCheckpoint(["tiny-text"], {
    "config.json": editJson((json) => {
      json.tie_word_embeddings = false;
    }),
  });
  await assert.rejects(tinyTextLogits(source), {
    name: "CheckpointError",
    message: /Cannot find tensor "lm_head.weight"/,
  });
  await using model = await Gemma3nTextModel.fromPretrained(source, quietly());
  assert.equal(model.config.tieWordEmbeddings, false);
});
