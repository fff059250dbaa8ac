// The towers in a file of their own beside a GGUF file: what they compute, and
// what is said when the file is not what it must be.
import assert from "node:assert/strict";
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import { AutoProcessor } from "../../src/api/auto_processor.ts";
import { Gemma3nForConditionalGeneration } from "../../src/api/gemma3n_for_conditional_generation.ts";
import { convertToGguf } from "../../src/convert/convert_to_gguf.ts";
import { towerLayout } from "../../src/convert/gguf_towers_plan.ts";
import { CheckpointError, UnsupportedError } from "../../src/core/errors.ts";
import { parseJsonObject } from "../../src/core/json.ts";
import { resolveSource } from "../../src/hub/source.ts";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { ggufFiles } from "../../src/io/gguf_files.ts";
import { towersFileName } from "../../src/io/gguf_towers.ts";
import { parseGemma3nConfig } from "../../src/models/gemma3n/config.ts";
import { detectPlatform } from "../../src/platform/detect.ts";
import { relativeRmsError } from "../../src/quant/blocks.ts";
import { referencePath } from "../golden.ts";
import { memoryFiles, randomInts } from "../io/files.ts";

const TINY = referencePath("tiny");
const FOLDER = mkdtempSync(join(tmpdir(), "g3n-towers-"));
after(() => rmSync(FOLDER, { recursive: true }));

/** Relative RMS error of features by the format of the file, computed in float32. */
const MAX_ERROR = { f32: 0, f16: 1e-5, q8: 0.05 } as const;
const MUTATIONS = 120;
/** Where the metadata and the first names are. */
const HEADER_BYTES = 8000;

async function jsonOf(source: string, name: string) {
  const files = await resolveSource(source, await detectPlatform());
  return parseJsonObject((await files.readText(name))!, name);
}

/** Features of a picture and a clip, by the processor that the files describe. */
async function featuresOf(source: string): Promise<Float32Array[]> {
  const processor = await AutoProcessor.fromPretrained(source);
  await using model = await Gemma3nForConditionalGeneration.fromPretrained(
    source,
    { dtype: "f32", contextLength: 64, maxBatchSize: 1 },
  );
  const inputs = await processor.applyChatTemplate([{
    role: "user",
    content: [
      { type: "image", url: referencePath("media/cat.png") },
      { type: "audio", url: referencePath("media/speech-16k.wav") },
    ],
  }]);
  const image = await model.getImageFeatures(inputs.pixelValues!);
  const audio = await model.getAudioFeatures(
    inputs.inputFeatures!,
    inputs.inputFeaturesMask!,
  );
  return [image.data, audio.features.data];
}

let original: Promise<Float32Array[]> | undefined;

for (const dtype of ["f32", "f16", "q8"] as const) {
  test(`the towers of a file in ${dtype} compute what the checkpoint's compute`, async () => {
    const { path } = await convertToGguf(
      TINY,
      join(FOLDER, `tiny-${dtype}.gguf`),
      { dtype },
    );
    const wanted = await (original ??= featuresOf(TINY));
    for (const [i, found] of (await featuresOf(path)).entries()) {
      const error = relativeRmsError(wanted[i]!, found);
      assert.ok(
        error <= MAX_ERROR[dtype],
        `${["picture", "clip"][i]} ${error}`,
      );
    }
  });
}

test("a file with towers has the whole configuration of its checkpoint", async () => {
  const { path } = await convertToGguf(TINY, join(FOLDER, "config.gguf"));
  const found = parseGemma3nConfig(await jsonOf(path, "config.json"));
  const wanted = parseGemma3nConfig(await jsonOf(TINY, "config.json"));
  assert.deepEqual(found, {
    ...wanted,
    textConfig: { ...wanted.textConfig, eosTokenId: [1, 6] },
  });
  // Another decoder's files, converted again, say the same.
  const again = join(FOLDER, "again.gguf");
  await convertToGguf(path, again);
  assert.deepEqual(
    parseGemma3nConfig(await jsonOf(again, "config.json")),
    found,
  );
});

test("towersFileName() puts mmproj- before the name of the file", () => {
  assert.equal(towersFileName("model.gguf"), "mmproj-model.gguf");
  assert.equal(towersFileName("q4/a-q4.gguf"), "q4/mmproj-a-q4.gguf");
  assert.equal(
    towersFileName("/m/a-00002-of-00003.gguf"),
    "/m/mmproj-a.gguf",
  );
});

test("towerLayout() gives eight bits to rows that are whole blocks alone or together", () => {
  const layout = (shape: number[], dtype: "f32" | "f16" | "q8" | "q4") => {
    const { dtype: stored, shape: inFile } = towerLayout(shape, dtype);
    return `${stored} ${inFile}`;
  };
  assert.equal(layout([8, 64], "q4"), "q8_0 8,64");
  assert.equal(layout([64, 32, 3, 3], "q8"), "q8_0 64,288");
  // Two rows of 80 are five blocks, four of 40.
  assert.equal(layout([96, 80, 1, 1], "q8"), "q8_0 48,160");
  assert.equal(layout([96, 40, 1, 1], "q8"), "q8_0 24,160");
  assert.equal(layout([90, 40, 1, 1], "q8"), "f16 90,40,1,1");
  assert.equal(layout([7, 64], "q8"), "f16 7,64");
  assert.equal(layout([32, 1, 5, 5], "q8"), "f16 32,1,5,5");
  assert.equal(layout([8, 64], "f16"), "f16 8,64");
  assert.equal(layout([64], "q8"), "f32 64");
  assert.equal(layout([64, 64], "f32"), "f32 64,64");
});

test("rows that are whole blocks together alone are read together", async () => {
  const { path } = await convertToGguf(TINY, join(FOLDER, "rows.gguf"));
  await using checkpoint = await openCheckpoint(
    await resolveSource(path, await detectPlatform()),
  );
  const name = "model.vision_tower.timm_model.blocks.3.18.pw_exp.conv.weight";
  const { dtype, shape, rows } = checkpoint.get(name);
  assert.deepEqual([dtype, shape[1]! % 32, rows % 4], ["q8_0", 8, 0]);
  await assert.rejects(checkpoint.readRows(name, 1, 4), {
    name: "CheckpointError",
    message: /its blocks hold 4 rows each/,
  });
  const read: number[] = [];
  for await (const block of checkpoint.rowBlocks(name, 1)) {
    read.push(block.rows);
  }
  assert.deepEqual(new Set(read), new Set([4]));
});

test("another kind of file in the place of the towers is refused by its name", async () => {
  const { path } = await convertToGguf(TINY, join(FOLDER, "wrong.gguf"));
  copyFileSync(path, join(FOLDER, "mmproj-wrong.gguf"));
  await assert.rejects(AutoProcessor.fromPretrained(path), {
    name: "UnsupportedError",
    message: /"mmproj-wrong\.gguf": its architecture is "gemma3n"/,
  });
  writeFileSync(join(FOLDER, "mmproj-wrong.gguf"), "no such file");
  await assert.rejects(AutoProcessor.fromPretrained(path), {
    name: "CheckpointError",
    message: /it is no GGUF file/,
  });
});

test("a damaged file of towers gives the right error, or is read", {
  timeout: 60_000,
}, async () => {
  const { path, towers } = await convertToGguf(
    TINY,
    join(FOLDER, "damaged.gguf"),
  );
  const decoder = new Uint8Array(readFileSync(path));
  const whole = new Uint8Array(readFileSync(towers!.path));
  const readAll = async (bytes: Uint8Array) => {
    const files = ggufFiles(
      memoryFiles({ "m.gguf": decoder, "mmproj-m.gguf": bytes }),
      "m.gguf",
    );
    for (const name of ["config.json", "processor_config.json"]) {
      const text = await files.readText(name);
      if (text === undefined) continue;
      const json = parseJsonObject(text, name);
      if (name === "config.json") parseGemma3nConfig(json);
    }
    await using checkpoint = await openCheckpoint(files);
    for (const name of checkpoint.names()) {
      for await (const { rows } of checkpoint.rowBlocks(name)) assert.ok(rows);
    }
  };
  await readAll(whole);
  const random = randomInts(5);
  let rejected = 0;
  for (let i = 0; i < MUTATIONS; i++) {
    const bytes = i % 4 === 0
      ? whole.slice(0, random(whole.length))
      : whole.slice();
    if (i % 4 !== 0) bytes[random(HEADER_BYTES)]! ^= 1 << random(8);
    try {
      await readAll(bytes);
    } catch (error) {
      assert.ok(
        error instanceof CheckpointError || error instanceof UnsupportedError,
        `mutation ${i}: ${error instanceof Error ? error.stack : error}`,
      );
      rejected++;
    }
  }
  assert.ok(rejected > MUTATIONS / 4 && rejected < MUTATIONS, `${rejected}`);
});
