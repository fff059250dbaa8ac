import assert from "node:assert/strict";
import { test } from "node:test";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { partNames } from "../../src/io/gguf_checkpoint.ts";
import { ggufFiles } from "../../src/io/gguf_files.ts";
import {
  encodeGgufHeader,
  type GgufMetadataValue,
  ggufTensorBytes,
  type GgufTensorSpec,
  paddingAfter,
} from "../../src/io/gguf_header_writer.ts";
import { LAYER_NAMES, transformersName } from "../../src/io/gguf_names.ts";
import { memoryFiles } from "./files.ts";

type Metadata = Record<string, GgufMetadataValue>;

const ARCHITECTURE: Metadata = { "general.architecture": "gemma3n" };

/** A file whose tensors are filled with counting bytes. */
function gguf(tensors: GgufTensorSpec[], metadata: Metadata = ARCHITECTURE) {
  const header = encodeGgufHeader(new Map(Object.entries(metadata)), tensors);
  const file = new Uint8Array(header.fileBytes);
  file.set(header.bytes);
  let at = header.bytes.length;
  for (const tensor of tensors) {
    const bytes = ggufTensorBytes(tensor);
    for (let i = 0; i < bytes; i++) file[at + i] = i;
    at += bytes + paddingAfter(bytes);
  }
  return file;
}

function open(contents: Record<string, Uint8Array>, name = "m.gguf") {
  return openCheckpoint(ggufFiles(memoryFiles(contents), name));
}

test("openCheckpoint() gives the tensors of a GGUF file under Transformers' names", async () => {
  await using checkpoint = await open({
    "m.gguf": gguf([
      { name: "token_embd.weight", shape: [4, 32], dtype: "q8_0" },
      { name: "blk.11.ffn_down.weight", shape: [2, 64], dtype: "q4_0" },
      { name: "blk.0.altup_correct_scale.weight", shape: [5], dtype: "f32" },
      { name: "altup_proj.weight", shape: [3, 2, 4], dtype: "f16" },
      { name: "rope_freqs.weight", shape: [2], dtype: "f32" },
    ]),
  });
  assert.deepEqual(checkpoint.names(), [
    "model.embed_tokens.weight",
    "model.layers.11.mlp.down_proj.weight",
    "model.layers.0.altup.correct_output_scale",
    "model.altup_projections.0.weight",
    "model.altup_projections.1.weight",
    "model.altup_projections.2.weight",
    "rope_freqs.weight",
  ]);
  const embedding = checkpoint.get("model.embed_tokens.weight");
  assert.equal(embedding.dtype, "q8_0");
  assert.deepEqual([embedding.rows, embedding.rowBytes], [4, 34]);
  const row = await checkpoint.readRows("model.embed_tokens.weight", 1, 1);
  assert.deepEqual([...row], Array.from({ length: 34 }, (_, i) => 34 + i));
  const second = await checkpoint.readRows(
    "model.altup_projections.1.weight",
    0,
    2,
  );
  assert.deepEqual([...second], Array.from({ length: 16 }, (_, i) => 16 + i));
});

test("openCheckpoint() gives blocks as they are stored, in blocks of rows", async () => {
  const name = "model.layers.11.mlp.down_proj.weight";
  await using checkpoint = await open({
    "m.gguf": gguf([
      { name: "blk.11.ffn_down.weight", shape: [5, 64], dtype: "q4_0" },
    ]),
  });
  const rows: number[] = [];
  for await (const block of checkpoint.rowBlocks(name, 80)) {
    assert.equal(block.dtype, "q4_0");
    assert.equal(block.bytes[0], 36 * block.firstRow);
    assert.equal(block.bytes.length, 36 * block.rows);
    rows.push(block.rows);
  }
  assert.deepEqual(rows, [2, 2, 1]);
});

test("openCheckpoint() cuts the per-layer table to the rows Transformers has", async () => {
  const name = "model.embed_tokens_per_layer.weight";
  const file = (metadata: Metadata) =>
    gguf([
      { name: "per_layer_token_embd.weight", shape: [6, 32], dtype: "q8_0" },
    ], { ...ARCHITECTURE, ...metadata });
  const tokens = ["a", "b", "c", "d", "e", "f"];
  await using all = await open({
    "m.gguf": file({ "tokenizer.ggml.tokens": tokens }),
  });
  assert.deepEqual(all.get(name).shape, [6, 32]);
  await using some = await open({
    "m.gguf": file({ "g3n.vocab_size_per_layer_input": { uint32: 4 } }),
  });
  assert.deepEqual(some.get(name).shape, [4, 32]);
  await assert.rejects(some.readRows(name, 4, 1), /it has 4/);
});

test("openCheckpoint() refuses types it cannot read, and vectors of blocks", async () => {
  const specs: GgufTensorSpec[] = [
    { name: "output_norm.weight", shape: [64], dtype: "q8_0" },
  ];
  await using checkpoint = await open({ "m.gguf": gguf(specs) });
  assert.throws(() => checkpoint.get("model.norm.weight"), {
    name: "UnsupportedError",
    message: /its elements are Q8_0/,
  });
});

test("openCheckpoint() refuses other architectures, and stacks without end", async () => {
  for (const architecture of [{}, { "general.architecture": "llama" }]) {
    await assert.rejects(open({ "m.gguf": gguf([], architecture) }), {
      name: "UnsupportedError",
      message: /"gemma3n" is supported/,
    });
  }
  const stack = { name: "altup_proj.weight", shape: [1e9, 0, 4], dtype: "f16" };
  await assert.rejects(open({ "m.gguf": gguf([stack as GgufTensorSpec]) }), {
    name: "CheckpointError",
    message: /a stack of 1000000000/,
  });
});

const PARTS = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"] as const;

function parts(count: number): Record<string, Uint8Array> {
  const split = { "split.count": { uint32: count } };
  return {
    [PARTS[0]]: gguf([
      { name: "output_norm.weight", shape: [3], dtype: "f32" },
    ], { ...ARCHITECTURE, ...split }),
    [PARTS[1]]: gguf([
      { name: "token_embd.weight", shape: [2, 3], dtype: "f32" },
    ], split),
  };
}

test("openCheckpoint() joins the parts of a split model, whichever is named", async () => {
  for (const name of PARTS) {
    const files = memoryFiles(parts(2));
    const checkpoint = await openCheckpoint(ggufFiles(files, name));
    assert.deepEqual(checkpoint.names(), [
      "model.norm.weight",
      "model.embed_tokens.weight",
    ]);
    assert.equal(checkpoint.get("model.embed_tokens.weight").file, PARTS[1]);
    await checkpoint[Symbol.asyncDispose]();
    assert.ok(files.opened.every((source) => source.closed === 1));
  }
});

test("openCheckpoint() tells missing, surplus and doubled parts", async () => {
  const missing = memoryFiles({ [PARTS[0]]: parts(2)[PARTS[0]]! });
  await assert.rejects(openCheckpoint(ggufFiles(missing, PARTS[0])), {
    name: "CheckpointError",
    message: /Cannot find "m-00002-of-00002.gguf"/,
  });
  assert.ok(missing.opened.every((source) => source.closed === 1));
  await assert.rejects(open(parts(3), PARTS[0]), /there are 3 parts/);
  await assert.rejects(open({ "m.gguf": parts(2)[PARTS[0]]! }), /2 parts/);
  const doubled = { ...parts(2), [PARTS[1]]: parts(2)[PARTS[0]]! };
  await assert.rejects(open(doubled, PARTS[0]), /is in another part, too/);
});

test("partNames() names all parts", () => {
  assert.deepEqual(partNames("a.gguf"), ["a.gguf"]);
  assert.deepEqual(partNames("d/a-00003-of-00003.gguf"), [
    "d/a-00001-of-00003.gguf",
    "d/a-00002-of-00003.gguf",
    "d/a-00003-of-00003.gguf",
  ]);
  for (const count of ["00000", "99999"]) {
    assert.throws(() => partNames(`a-00001-of-${count}.gguf`), {
      name: "CheckpointError",
    });
  }
});

test("transformersName() knows every tensor of a layer and no other", () => {
  for (const { gguf, transformers } of LAYER_NAMES) {
    assert.deepEqual(transformersName(`blk.7.${gguf}`), {
      name: `model.layers.7.${transformers}`,
      isStacked: false,
    });
  }
  assert.equal(transformersName("blk.7.ffn_gate_exps.weight"), undefined);
  assert.equal(transformersName("blk.x.attn_q.weight"), undefined);
});
