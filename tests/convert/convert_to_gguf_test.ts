// The reference checkpoint as GGUF files: what comes back of it.
import assert from "node:assert/strict";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { AutoProcessor } from "../../src/api/auto_processor.ts";
import { Gemma3nForCausalLM } from "../../src/api/gemma3n_for_causal_lm.ts";
import type { ComputeDtype } from "../../src/core/dtype.ts";
import { parseJsonObject } from "../../src/core/json.ts";
import { convertToGguf } from "../../src/convert/convert_to_gguf.ts";
import { resolveSource } from "../../src/hub/source.ts";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { parseGemma3nConfig } from "../../src/models/gemma3n/config.ts";
import { detectPlatform } from "../../src/platform/detect.ts";
import { GemmaTokenizer } from "../../src/processing/tokenizer.ts";
import { decodeRows, relativeRmsError } from "../../src/quant/blocks.ts";
import { expected, referencePath, referenceText } from "../golden.ts";

const TINY = referencePath("tiny");
const FOLDER = mkdtempSync(join(tmpdir(), "g3n-convert-"));
after(() => rmSync(FOLDER, { recursive: true }));

/** Relative RMS error of a tensor in each format. */
const MAX_ERROR = { f32: 0, f16: 1e-4, q8_0: 0.01, q4_0: 0.1 } as const;

const written = new Map<ComputeDtype, Promise<string>>();

/** The reference checkpoint in a number format, written once. */
function tinyGguf(dtype: ComputeDtype): Promise<string> {
  const write = async () => {
    const path = join(FOLDER, `tiny-${dtype}.gguf`);
    await convertToGguf(TINY, path, { dtype });
    return path;
  };
  const path = written.get(dtype) ?? write();
  written.set(dtype, path);
  return path;
}

async function filesOf(source: string) {
  return await resolveSource(source, await detectPlatform());
}

async function jsonOf(source: string, name: string) {
  const text = await (await filesOf(source)).readText(name);
  return parseJsonObject(text!, name);
}

async function* tensorsOf(source: string) {
  await using checkpoint = await openCheckpoint(await filesOf(source));
  for (const name of checkpoint.names()) {
    const { dtype, shape, rows } = checkpoint.get(name);
    const bytes = await checkpoint.readRows(name, 0, rows);
    yield { name, dtype, shape, values: decodeRows(bytes, dtype) };
  }
}

for (const dtype of ["f32", "f16", "q8", "q4"] as const) {
  test(`convertToGguf() keeps every tensor within its format for ${dtype}`, async () => {
    const original = new Map<string, Float32Array>();
    for await (const { name, values } of tensorsOf(TINY)) {
      original.set(name.replace("language_model.", ""), values);
    }
    const dtypes = new Map<string, string>();
    for await (const found of tensorsOf(await tinyGguf(dtype))) {
      dtypes.set(found.name, found.dtype);
      const before = original.get(found.name);
      if (before === undefined) {
        assert.match(found.name, /layers\.[5-9]\.self_attn\.[kv]_/);
        assert.ok(found.values.every((value) => value === 0));
        continue;
      }
      const error = relativeRmsError(before, found.values);
      const most = MAX_ERROR[found.dtype as keyof typeof MAX_ERROR];
      assert.ok(error <= most, `${found.name} ${found.dtype} ${error}`);
      original.delete(found.name);
    }
    assert.deepEqual([...original.keys()], []);
    const embedding = dtypes.get("model.embed_tokens.weight");
    const gate = dtypes.get("model.layers.0.mlp.gate_proj.weight");
    const wanted = {
      f32: ["f32", "f32"],
      f16: ["f16", "f16"],
      q8: ["q8_0", "q8_0"],
      q4: ["q8_0", "q4_0"],
    };
    assert.deepEqual([embedding, gate], wanted[dtype]);
    assert.equal(dtypes.get("model.norm.weight"), "f32");
  });
}

test("a GGUF file has the configuration of its checkpoint", async () => {
  const path = await tinyGguf("q8");
  const { textConfig } = parseGemma3nConfig(await jsonOf(path, "config.json"));
  const { textConfig: original } = parseGemma3nConfig(
    await jsonOf(TINY, "config.json"),
  );
  assert.deepEqual(textConfig, { ...original, eosTokenId: [1, 6] });
  const generation = await jsonOf(path, "generation_config.json");
  assert.deepEqual(generation["eos_token_id"], [1, 6]);
  assert.equal(generation["do_sample"], false);
});

test("a GGUF file has the tokenizer and the chat template of its checkpoint", async () => {
  const path = await tinyGguf("q8");
  const config = await jsonOf(path, "tokenizer_config.json");
  const tokenizer = new GemmaTokenizer(
    await jsonOf(path, "tokenizer.json"),
    config,
  );
  assert.equal(
    config["chat_template"],
    await referenceText("tiny/chat_template.jinja"),
  );
  const samples = (await expected())["tokenizer"] as {
    text: string;
    ids: number[];
    decoded: string;
  }[];
  for (const { text, ids, decoded } of samples) {
    assert.deepEqual([...await tokenizer.encode(text)], ids, text);
    assert.equal(tokenizer.decode(ids, { skipSpecialTokens: true }), decoded);
  }
  const turn = "<start_of_turn>user\nHi<end_of_turn>";
  const original = new GemmaTokenizer(
    await jsonOf(TINY, "tokenizer.json"),
    await jsonOf(TINY, "tokenizer_config.json"),
  );
  const ids = await tokenizer.encode(turn);
  assert.deepEqual(ids, await original.encode(turn));
  assert.equal(tokenizer.padTokenId, original.padTokenId);
  assert.equal(tokenizer.bosTokenId, original.bosTokenId);
});

test("a model from a GGUF file in f16 computes what its checkpoint computes", async () => {
  const path = join(FOLDER, "text.gguf");
  const source = referencePath("tiny-text");
  await convertToGguf(source, path, { dtype: "f16" });
  const options = { device: "reference", dtype: "f32" } as const;
  const processor = await AutoProcessor.fromPretrained(path);
  const inputs = await processor.process({ text: "The capital of France is" });
  await using model = await Gemma3nForCausalLM.fromPretrained(path, options);
  await using original = await Gemma3nForCausalLM.fromPretrained(
    source,
    options,
  );
  const [actual, wanted] = [
    await model.forward(inputs),
    await original.forward(inputs),
  ];
  assert.deepEqual(actual.logits!.data, wanted.logits!.data);
});

test("the decoder of a whole model continues a text alike from an f32 file", async () => {
  const sequences: Int32Array[] = [];
  for (const source of [TINY, await tinyGguf("f32")]) {
    const processor = await AutoProcessor.fromPretrained(source);
    const inputs = await processor.process({ text: "def fibonacci(n):" });
    await using model = await Gemma3nForCausalLM.fromPretrained(source, {
      device: "reference",
      dtype: "f32",
    });
    const result = await model.generate({
      inputIds: inputs.inputIds,
      maxNewTokens: 12,
      doSample: false,
    });
    sequences.push(result.sequences[0]!);
  }
  assert.deepEqual(sequences[1], sequences[0]);
});

test("convertToGguf() takes GGUF files, and keeps what has the wanted format bit by bit", async () => {
  const first = await tinyGguf("q4");
  const again = join(FOLDER, "again.gguf");
  await convertToGguf(first, again, { dtype: "q4" });
  const [a, b] = [readFileSync(first), readFileSync(again)];
  // The names of the models differ: their files'.
  assert.ok(a.subarray(-500_000).equals(b.subarray(-500_000)));
});

test("convertToGguf() leaves the towers out when it is told to, and never under others", async () => {
  const path = join(FOLDER, "alone.gguf");
  const { towers } = await convertToGguf(TINY, path, { towers: false });
  assert.equal(towers, undefined);
  assert.ok(!existsSync(join(FOLDER, "mmproj-alone.gguf")));
  const whole = await tinyGguf("q8");
  await assert.rejects(
    convertToGguf(TINY, whole, { towers: false, overwrite: true }),
    { name: "InputError", message: /mmproj-tiny-q8\.gguf" would be taken/ },
  );
});

test("convertToGguf() replaces a file only when it is told to", async () => {
  const path = await tinyGguf("q8");
  await assert.rejects(convertToGguf(TINY, path, { dtype: "q8" }), {
    name: "InputError",
    message: /there is a file of that name/,
  });
  await convertToGguf(TINY, path, { dtype: "q8", overwrite: true });
  await assert.rejects(convertToGguf(TINY, FOLDER, { overwrite: true }), {
    name: "InputError",
    message: /there is a directory/,
  });
});

test("convertToGguf() leaves nothing behind when it is stopped, and tells how far it is", async () => {
  const path = join(FOLDER, "stopped.gguf");
  const controller = new AbortController();
  let blocks = 0;
  const stopped = convertToGguf(TINY, path, {
    signal: controller.signal,
    onProgress: ({ writtenBytes, totalBytes }) => {
      assert.ok(writtenBytes <= totalBytes);
      if (++blocks === 50) controller.abort();
    },
  });
  await assert.rejects(stopped, { name: "AbortError" });
  assert.equal(blocks, 50);
  assert.ok(!existsSync(path));
  assert.ok(readdirSync(FOLDER).every((name) => !name.endsWith(".part")));
  let last = 0;
  const { bytes, towers } = await convertToGguf(TINY, path, {
    onProgress: ({ writtenBytes }) => last = writtenBytes,
  });
  assert.equal(last, bytes + towers!.bytes);
  assert.equal(readFileSync(path).byteLength, bytes);
  assert.equal(readFileSync(towers!.path).byteLength, towers!.bytes);
});
