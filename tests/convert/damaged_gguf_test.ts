// Damage to a whole GGUF model: its configuration, tokenizer and tensors.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CheckpointError, UnsupportedError } from "../../src/core/errors.ts";
import { parseJsonObject } from "../../src/core/json.ts";
import { convertToGguf } from "../../src/convert/convert_to_gguf.ts";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { ggufFiles } from "../../src/io/gguf_files.ts";
import { parseGemma3nConfig } from "../../src/models/gemma3n/config.ts";
import { GemmaTokenizer } from "../../src/processing/tokenizer.ts";
import { referencePath } from "../golden.ts";
import { memoryFiles, randomInts } from "../io/files.ts";

const MUTATIONS = 250;
/** Where the names and numbers of the architecture are; the vocabulary comes after. */
const METADATA_BYTES = 2500;

async function tinyBytes(): Promise<Uint8Array> {
  const folder = mkdtempSync(join(tmpdir(), "g3n-damaged-"));
  try {
    const path = join(folder, "tiny.gguf");
    await convertToGguf(referencePath("tiny"), path, { dtype: "q4" });
    return new Uint8Array(readFileSync(path));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Reads all there is to read before a model is loaded. */
async function readAll(bytes: Uint8Array): Promise<void> {
  const files = ggufFiles(memoryFiles({ "m.gguf": bytes }), "m.gguf");
  const json = async (name: string) =>
    parseJsonObject((await files.readText(name))!, name);
  parseGemma3nConfig(await json("config.json"));
  await json("generation_config.json");
  new GemmaTokenizer(
    await json("tokenizer.json"),
    await json("tokenizer_config.json"),
  );
  await using checkpoint = await openCheckpoint(files);
  for (const name of checkpoint.names()) {
    const { rows } = checkpoint.get(name);
    if (rows > 0) await checkpoint.readRows(name, rows - 1, 1);
  }
}

test("a damaged GGUF model gives the right error, or is read", {
  timeout: 60_000,
}, async () => {
  const original = await tinyBytes();
  await readAll(original);
  const random = randomInts(21);
  let rejected = 0;
  for (let i = 0; i < MUTATIONS; i++) {
    let bytes = original.slice();
    if (i % 6 === 0) bytes = bytes.slice(0, random(bytes.length));
    for (let flips = 1 + random(3); flips > 0 && i % 6 !== 0; flips--) {
      const span = i % 2 === 0 ? METADATA_BYTES : 150_000;
      bytes[random(Math.min(span, bytes.length))]! ^= 1 << random(8);
    }
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
