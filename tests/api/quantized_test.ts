// The tiny checkpoint with weights of eight and four bits.
//
// Its random weights amplify every difference: Transformers itself, given the
// values that eight bits leave, moves its logits by up to 3 (text), 15 (korean)
// and 21 (window). So layers are compared with the reference device, which
// computes with the same values, before differences grow.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Gemma3nForCausalLM } from "../../src/api/gemma3n_for_causal_lm.ts";
import { modelInfo } from "../../src/api/model_info.ts";
import { convertToGguf } from "../../src/convert/convert_to_gguf.ts";
import { InputError, UnsupportedError } from "../../src/core/errors.ts";
import type { ModelOptions } from "../../src/api/model_options.ts";
import type { DtypeOption } from "../../src/api/devices.ts";
import { relativeRmsError } from "../../src/quant/blocks.ts";
import { referencePath } from "../golden.ts";
import { expectedInputs, loadTiny } from "../model.ts";
import { testGpu } from "../testing.ts";

const TINY = referencePath("tiny");
const FOLDER = mkdtempSync(join(tmpdir(), "g3n-quantized-"));
after(() => rmSync(FOLDER, { recursive: true }));

/**
 * What bytes as activations may cost up to a layer, relative to its values.
 * Embeddings that were quantised in the same groups are bytes already.
 */
const LAYER_ERRORS = [1e-6, 0.01, 0.02, 0.03, 0.04];
/** Of image features and audio features, against float32. */
const TOWER_ERROR = 0.05;
/** Divergence of the next token's probabilities from float32, a mean over `window`. */
const MAX_Q8_DIVERGENCE = 0.6;
/** How often the likeliest token is that of float32. */
const MIN_Q8_AGREEMENT = 0.6;

const DEVICES = [
  "wasm",
  ...(await testGpu()) ? ["webgpu" as const] : [],
] as const;

for (const dtype of ["q8", "q4"] as const) {
  for (const device of DEVICES) {
    for (const name of ["text", "korean", "window"] as const) {
      test(`${dtype} on ${device} computes ${name} as the reference does`, async () => {
        await using reference = await loadTiny("reference", { dtype });
        await using model = await loadTiny(device, { dtype });
        const inputs = await expectedInputs(name);
        const options = { outputHiddenStates: true };
        const expected = await reference.forward(inputs, options);
        const actual = await model.forward(inputs, options);
        for (const [layer, limit] of LAYER_ERRORS.entries()) {
          const error = relativeRmsError(
            expected.hiddenStates![layer]!.data,
            actual.hiddenStates![layer]!.data,
          );
          assert.ok(error <= limit, `before layer ${layer}: ${error}`);
        }
      });
    }

    test(`${dtype} on ${device} keeps what the towers see`, async () => {
      await using float = await loadTiny("wasm");
      await using model = await loadTiny(device, { dtype });
      const { pixelValues } = await expectedInputs("image");
      const images = await float.getImageFeatures(pixelValues!);
      const found = await model.getImageFeatures(pixelValues!);
      const imageError = relativeRmsError(images.data, found.data);
      const { inputFeatures, inputFeaturesMask } = await expectedInputs(
        "audio",
      );
      const sound = await float.getAudioFeatures(
        inputFeatures!,
        inputFeaturesMask!,
      );
      const heard = await model.getAudioFeatures(
        inputFeatures!,
        inputFeaturesMask!,
      );
      const audioError = relativeRmsError(
        sound.features.data,
        heard.features.data,
      );
      assert.ok(imageError < TOWER_ERROR, `image features: ${imageError}`);
      assert.ok(audioError < TOWER_ERROR, `audio features: ${audioError}`);
    });
  }

  test(`${dtype} gives the same logits in steps of any size`, async () => {
    const inputs = await expectedInputs("window");
    await using model = await loadTiny("wasm", { dtype });
    const { logits } = await model.forward(inputs);
    for (const prefillChunk of [7, 64]) {
      await using other = await loadTiny("wasm", { dtype, prefillChunk });
      const found = await other.forward(inputs);
      assert.equal(relativeRmsError(logits.data, found.logits.data), 0);
    }
  });
}

test("q8 predicts much as float32 does", async () => {
  await using float = await loadTiny("wasm");
  await using model = await loadTiny("wasm", { dtype: "q8" });
  const inputs = await expectedInputs("window");
  const { logits } = await float.forward(inputs);
  const found = await model.forward(inputs);
  const V = logits.shape[2]!;
  const rows = logits.data.length / V;
  let divergence = 0;
  let agreed = 0;
  for (let row = 0; row < rows; row++) {
    const p = logProbabilities(logits.data.subarray(row * V, (row + 1) * V));
    const q = logProbabilities(
      found.logits.data.subarray(row * V, (row + 1) * V),
    );
    p.forEach((x, i) => divergence += Math.exp(x) * (x - q[i]!) / rows);
    if (likeliest(p) === likeliest(q)) agreed++;
  }
  assert.ok(divergence < MAX_Q8_DIVERGENCE, `divergence ${divergence}`);
  assert.ok(agreed / rows > MIN_Q8_AGREEMENT, `${agreed} of ${rows} agree`);
});

function logProbabilities(logits: Float32Array): Float64Array {
  const largest = logits.reduce((m, x) => Math.max(m, x), -Infinity);
  const sum = logits.reduce((s, x) => s + Math.exp(x - largest), 0);
  return Float64Array.from(logits, (x) => x - largest - Math.log(sum));
}

function likeliest(values: Float64Array): number {
  return values.indexOf(values.reduce((m, x) => Math.max(m, x), -Infinity));
}

test("a file's own blocks of four bits are kept whatever the dtype", async () => {
  const path = join(FOLDER, "tiny-q4.gguf");
  await convertToGguf(TINY, path, { dtype: "q4" });
  const { inputIds } = await expectedInputs("text");
  const logitsWith = async (dtype: DtypeOption) => {
    const options = { device: "wasm", dtype, contextLength: 64 } as const;
    await using model = await Gemma3nForCausalLM.fromPretrained(path, options);
    return (await model.forward({ inputIds })).logits.data;
  };
  assert.deepEqual(await logitsWith("q8"), await logitsWith("q4"));
});

test("caches of quantised models are halves unless asked otherwise", async () => {
  const kv = async (options: ModelOptions) =>
    (await modelInfo(TINY, { device: "wasm", ...options })).memory.kv;
  const float = await kv({ dtype: "f32" });
  assert.equal(await kv({ dtype: "q4", cacheDtype: "f32" }), float);
  const half = await kv({ dtype: "q4" });
  assert.ok(half < 0.51 * float, `${half} of ${float}`);
  assert.equal(await kv({ dtype: "f32", cacheDtype: "f16" }), half);
  const bytes = await kv({ dtype: "f32", cacheDtype: "q8" });
  // Heads of 16 have a scale of four bytes each.
  const share = (16 + 4) / (16 * 4);
  assert.ok(Math.abs(bytes / float - share) < 0.01, `${bytes} of ${float}`);
  await assert.rejects(
    kv({ cacheDtype: "q4" as "f16" }),
    (error) => error instanceof InputError && /"q4"/.test(error.message),
  );
});

test("modelInfo() tells the bytes of each format", async () => {
  const weights: number[] = [];
  for (const dtype of ["f32", "q8", "q4"] as const) {
    const info = await modelInfo(TINY, { dtype });
    assert.equal(info.dtype, dtype);
    weights.push(info.memory.weights);
  }
  const [f32, q8, q4] = weights as [number, number, number];
  assert.ok(q8 < 0.35 * f32 && q4 < 0.85 * q8, `${weights}`);
});

test("other dtypes are refused", async () => {
  await assert.rejects(
    loadTiny("wasm", { dtype: "f16" }),
    (error) =>
      error instanceof UnsupportedError && /"auto", "f32"/.test(error.message),
  );
  await assert.rejects(
    loadTiny("wasm", { dtype: "q5" as DtypeOption }),
    (error) => error instanceof InputError && /"q5"/.test(error.message),
  );
});
