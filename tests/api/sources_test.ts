// A whole model through every kind of source, and what is told meanwhile.
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

import { AutoProcessor } from "../../src/api/auto_processor.ts";
import { Gemma3nForConditionalGeneration } from "../../src/api/gemma3n_for_conditional_generation.ts";
import type { FileOpener } from "../../src/hub/opened_files.ts";
import type { ModelSource } from "../../src/hub/source.ts";
import { bytesSource } from "../../src/io/byte_source.ts";
import type { PartProgress } from "../../src/models/gemma3n/media_towers.ts";
import { referenceBytes, referencePath } from "../golden.ts";
import { serveFiles } from "../io/http_server.ts";
import { expectedIds, expectedInputs, loadTiny } from "../model.ts";
import { editedCheckpoint, editTensors } from "./edited_checkpoint.ts";

/** Every file of the tiny checkpoint by name. */
async function tinyFiles(): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const names = await readdir(referencePath("tiny"));
  return new Map(
    await Promise.all(
      names.map(async (name) =>
        [name, new Uint8Array(await referenceBytes(`tiny/${name}`))] as const
      ),
    ),
  );
}

async function assertAnswers(
  source: ModelSource,
  name: "text" | "mixed" = "text",
): Promise<void> {
  const processor = await AutoProcessor.fromPretrained(source);
  await using model = await Gemma3nForConditionalGeneration.fromPretrained(
    source,
    { dtype: "f32", contextLength: 1024 },
  );
  const [expected] = await expectedIds(name);
  const inputs = await expectedInputs(name);
  const { sequences } = await model.generate({
    ...inputs,
    maxNewTokens: expected!.length,
  });
  const answer = sequences[0]!.subarray(inputs.inputIds.shape[1]!);
  assert.deepEqual([...answer], expected);
  assert.ok(processor.decode(answer).length > 0);
}

test("a model is loaded through a web server, by ranges", async () => {
  const files = await tinyFiles();
  await using server = await serveFiles(
    Object.fromEntries(
      [...files].map(([name, bytes]) => [`/models/tiny/${name}`, bytes]),
    ),
  );
  const address = `${server.address}/models/tiny`;
  await assertAnswers(address, "mixed");
  await assertAnswers(new URL(address));
  const shards = server.seen.filter(({ path }) => path.endsWith("safetensors"));
  assert.ok(shards.every(({ range }) => range !== undefined));
});

test("an abort after loading does not reach the files that stay in use", async () => {
  const files = await tinyFiles();
  await using server = await serveFiles(
    Object.fromEntries([...files].map(([name, bytes]) => [`/${name}`, bytes])),
  );
  const controller = new AbortController();
  await using model = await Gemma3nForConditionalGeneration.fromPretrained(
    server.address,
    { contextLength: 1024, signal: controller.signal },
  );
  controller.abort();
  const [expected] = await expectedIds("image");
  const { sequences } = await model.generate({
    ...await expectedInputs("image"),
    maxNewTokens: expected!.length,
  });
  assert.deepEqual([...sequences[0]!.subarray(-expected!.length)], expected);
});

test("an abort stops loading", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  const loading = loadTiny("wasm", {
    signal: controller.signal,
    onProgress: () => controller.abort(reason),
  });
  await assert.rejects(loading, reason);
  await assert.rejects(loadTiny("wasm", { signal: controller.signal }), reason);
});

const OPENERS: Readonly<
  Record<string, (bytes: Uint8Array<ArrayBuffer>, name: string) => unknown>
> = {
  Blob: (bytes) => new Blob([bytes]),
  File: (bytes, name) => new File([bytes], name),
  Uint8Array: (bytes) => bytes,
  ArrayBuffer: (bytes) => bytes.buffer,
  "promise of a ByteSource": (bytes, name) =>
    Promise.resolve(bytesSource(name, bytes)),
};

for (const [kind, open] of Object.entries(OPENERS)) {
  test(`a model is loaded through an object that opens files as ${kind}`, async () => {
    const files = await tinyFiles();
    const opener = {
      open: (name: string) => {
        const bytes = files.get(name);
        return bytes && open(bytes, name);
      },
    };
    await assertAnswers(opener as FileOpener, "mixed");
  });
}

test("a model is loaded through a file: URL", async () => {
  await assertAnswers(pathToFileURL(referencePath("tiny")));
});

test("progress counts bytes and tensors of the decoder, then of the towers", async () => {
  const seen: PartProgress[] = [];
  await using model = await loadTiny("wasm", {
    onProgress: (progress) => seen.push(progress),
  });
  assert.ok(seen.every(({ part }) => part === "text"));
  await model.forward(await expectedInputs("mixed"));
  await model.forward(await expectedInputs("mixed"));
  for (const part of ["text", "vision", "audio"]) {
    const own = seen.filter((progress) => progress.part === part);
    const { totalBytes, totalTensors } = own[0]!;
    own.forEach((progress, i) => {
      const before = own[i - 1] ?? { loadedBytes: 0, loadedTensors: 0 };
      assert.ok(progress.loadedBytes > before.loadedBytes);
      assert.ok(progress.loadedTensors >= before.loadedTensors);
      assert.equal(progress.totalBytes, totalBytes);
    });
    const last = own.at(-1)!;
    assert.equal(last.loadedBytes, totalBytes, part);
    assert.equal(last.loadedTensors, totalTensors, part);
  }
});

test("each warning is told once", async () => {
  const extra = { dtype: "F32", shape: [1], bytes: new Uint8Array(4) } as const;
  const source = editedCheckpoint(["tiny-text"], {
    "model.safetensors": editTensors((tensors) => {
      tensors.set("model.extra", extra);
    }),
  });
  const warnings: string[] = [];
  await using model = await Gemma3nForConditionalGeneration.fromPretrained(
    source,
    { onWarning: (warning) => warnings.push(warning) },
  );
  const { inputIds } = await expectedInputs("text");
  for (let i = 0; i < 2; i++) await model.generate({ inputIds });
  assert.equal(warnings.length, 2, warnings.join("\n"));
  assert.match(warnings[0]!, /"model\.extra"; they are ignored$/);
  assert.match(warnings[1]!, /^At most 20 tokens are generated/);
});
