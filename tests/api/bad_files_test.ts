// Checkpoints that are damaged, incomplete, of another model or too large:
// each refused with its class and a message that names what was found.
import assert from "node:assert/strict";
import { test } from "node:test";

import { AutoProcessor } from "../../src/api/auto_processor.ts";
import { Gemma3nForCausalLM } from "../../src/api/gemma3n_for_causal_lm.ts";
import { Gemma3nForConditionalGeneration } from "../../src/api/gemma3n_for_conditional_generation.ts";
import type { FileOpener } from "../../src/hub/opened_files.ts";
import type { ByteSource } from "../../src/io/byte_source.ts";
import { parseGemma3nConfig } from "../../src/models/gemma3n/config.ts";
import {
  PER_LAYER_TABLE,
  textWeights,
} from "../../src/models/gemma3n/text_weights.ts";
import type { WeightLoader } from "../../src/ops/weight_loader.ts";
import { referencePath } from "../golden.ts";
import { safetensorsBytes } from "../io/files.ts";
import {
  editedCheckpoint,
  editJson,
  editTensors,
  type FileEdit,
  type TensorTable,
} from "./edited_checkpoint.ts";

/** A change of one file, and how it is refused. */
interface Damage {
  readonly file: string;
  readonly edit: FileEdit;
  readonly name: "CheckpointError" | "UnsupportedError";
  readonly message: RegExp;
  /** Checkpoint that is changed; `tiny-text` unless given. */
  readonly folder?: "tiny" | "tiny-text";
  /** What is loaded; the model unless given. */
  readonly loads?: "processor";
}

const WEIGHTS = "model.safetensors";
const NORM = "model.norm.weight";
const damaged = "CheckpointError", unsupported = "UnsupportedError";

/** Changes the JSON of a safetensors header, and its length if need be. */
function editHeader(
  edit: (header: Record<string, { data_offsets: number[] }>) => void,
): FileEdit {
  return (bytes) => {
    const length = Number(new DataView(bytes!.buffer).getBigUint64(0, true));
    const header = JSON.parse(
      new TextDecoder().decode(bytes!.subarray(8, 8 + length)),
    );
    edit(header);
    return safetensorsBytes(header, bytes!.subarray(8 + length));
  };
}

const replaceText = (text: string): FileEdit => () =>
  new TextEncoder().encode(text);
const config = (fields: Record<string, unknown>): Omit<Damage, "message"> => ({
  file: "config.json",
  edit: editJson((json) => void Object.assign(json, fields)),
  name: damaged,
});
const tensors = (
  edit: (tensors: TensorTable) => void,
): Omit<Damage, "message"> => ({
  file: WEIGHTS,
  edit: editTensors(edit),
  name: damaged,
});

const DAMAGES: Readonly<Record<string, Damage>> = {
  "a header of 2^60 bytes": {
    file: WEIGHTS,
    edit: (bytes) => {
      new DataView(bytes!.buffer).setBigUint64(0, 1n << 60n, true);
      return bytes;
    },
    name: damaged,
    message: /length is given as 11529215046068\d+ bytes, a file of \d+ bytes/,
  },
  "a file that is cut": {
    file: WEIGHTS,
    edit: (bytes) => bytes!.subarray(0, 1_000_000),
    name: damaged,
    message: /ends at byte \d+, the file has 1000000 bytes; it is truncated/,
  },
  "an empty file": {
    file: WEIGHTS,
    edit: () => new Uint8Array(),
    name: damaged,
    message: /model\.safetensors/,
  },
  "overlapping tensors": {
    file: WEIGHTS,
    edit: editHeader((header) => {
      const [begin, end] = header[NORM]!.data_offsets as [number, number];
      header[NORM]!.data_offsets = [begin - 2, end - 2];
    }),
    name: damaged,
    message: /its data begins at byte \d+, the tensor before it ends at/,
  },
  "a tensor out of range": {
    file: WEIGHTS,
    edit: editHeader((header) => {
      header[NORM]!.data_offsets = [2 ** 52, 2 ** 52 + 128];
    }),
    name: damaged,
    message: /its data begins at byte|ends at byte 450359962737\d+/,
  },
  "a missing tensor": {
    ...tensors((table) => void table.delete(NORM)),
    message: /Cannot find tensor "model\.norm\.weight"/,
  },
  "a tensor of another shape": {
    ...tensors((table) => {
      const norm = table.get(NORM)!;
      table.set(NORM, { ...norm, shape: [8, 8] });
    }),
    message:
      /"model\.norm\.weight": config\.json implies shape \[64\], "model\.safetensors" has \[8,8\]/,
  },
  "a tensor of integers": {
    ...tensors((table) => {
      const norm = table.get(NORM)!;
      table.set(NORM, { ...norm, dtype: "I16" });
    }),
    name: unsupported,
    message: /"model\.norm\.weight" .*elements are I16/,
  },
  "no decoder": {
    ...tensors((table) => {
      const embedding = table.get("model.embed_tokens.weight")!;
      table.delete("model.embed_tokens.weight");
      table.set("encoder.embed_tokens.weight", embedding);
    }),
    message: /has none of "model\.language_model\.embed_tokens\.weight", /,
  },
  "a missing tensor of a tower": {
    folder: "tiny",
    file: "model.safetensors.index.json",
    edit: editJson((index) => {
      delete index.weight_map[
        "model.vision_tower.timm_model.conv_stem.conv.weight"
      ];
      delete index.metadata;
    }),
    name: damaged,
    message: /Cannot find tensor "model\.vision_tower\.timm_model\.conv_stem/,
  },
  "a missing shard": {
    folder: "tiny",
    file: "model-00002-of-00003.safetensors",
    edit: () => undefined,
    name: damaged,
    message: /Cannot find "model-00002-of-00003\.safetensors"/,
  },
  "no weights": {
    file: WEIGHTS,
    edit: () => undefined,
    name: damaged,
    message: /neither "model\.safetensors" nor "model\.safetensors\.index/,
  },
  "no config.json": {
    file: "config.json",
    edit: () => undefined,
    name: damaged,
    message: /Cannot find "config\.json"/,
  },
  "a config that is no JSON": {
    file: "config.json",
    edit: replaceText('{"model_type": "gemma3n",'),
    name: damaged,
    message: /config\.json/,
  },
  "another model": {
    ...config({ model_type: "llama" }),
    name: unsupported,
    message: /type "llama": "gemma3n" and "gemma3n_text" are supported/,
  },
  "another activation": {
    ...config({ hidden_activation: "silu" }),
    name: unsupported,
    message: /activation "silu".* "gelu_pytorch_tanh" is supported/,
  },
  "another rope": {
    ...config({ rope_parameters: { full_attention: { rope_type: "yarn" } } }),
    name: unsupported,
    message: /rope type "yarn"/,
  },
  "a scaled rope of 2025": {
    ...config({ rope_scaling: { type: "linear", factor: 8 } }),
    name: unsupported,
    message: /"rope_scaling" .*its rope type is "linear"/,
  },
  "a config of another size": {
    ...config({ hidden_size: 128 }),
    message: /implies shape \[2064,128\], "model\.safetensors" has \[2064,64\]/,
  },
  "a generation config that is none": {
    file: "generation_config.json",
    edit: replaceText('{"temperature": "hot"}'),
    name: damaged,
    message: /generation_config\.json: .*"temperature" "hot"/,
  },
  "no tokenizer": {
    file: "tokenizer.json",
    edit: () => undefined,
    loads: "processor",
    name: damaged,
    message: /Cannot find "tokenizer\.json"/,
  },
  "a tokenizer of another kind": {
    file: "tokenizer.json",
    edit: editJson((json) => void (json.model.type = "WordPiece")),
    loads: "processor",
    name: damaged,
    message: /tokenizer\.json/,
  },
  "a template that is none": {
    folder: "tiny",
    file: "chat_template.jinja",
    edit: replaceText("{% if %}"),
    loads: "processor",
    name: damaged,
    message: /Cannot parse the chat template/,
  },
};

for (const [what, damage] of Object.entries(DAMAGES)) {
  const { folder = "tiny-text", file, edit, name, message } = damage;
  test(`${what}: ${name}`, async () => {
    const source = editedCheckpoint([folder], { [file]: edit });
    const load = damage.loads === "processor"
      ? AutoProcessor.fromPretrained(source)
      : Gemma3nForConditionalGeneration.fromPretrained(source);
    await assert.rejects(load, { name, message });
  });
}

/** A decoder of E4B's size; its weights must not be read. */
function largeModel(): FileOpener & { reads(): number } {
  const json = { model_type: "gemma3n_text" };
  const { textConfig } = parseGemma3nConfig(json);
  const header: Record<string, unknown> = {};
  let bytes = 0;
  const add = (name: string, shape: readonly number[]) => {
    const begin = bytes;
    bytes += 2 * shape.reduce((product, size) => product * size, 1);
    header[name] = { dtype: "BF16", shape, data_offsets: [begin, bytes] };
  };
  const loader = (prefix: string): WeightLoader => ({
    weight(_kind, name, shape) {
      add(prefix + name, shape);
      return { shape };
    },
    scope: (more) => loader(prefix + more),
  });
  textWeights(loader("model."), textConfig);
  const L = textConfig.numHiddenLayers, P = textConfig.hiddenSizePerLayerInput;
  add(`model.${PER_LAYER_TABLE}`, [textConfig.vocabSizePerLayerInput, L * P]);
  const start = safetensorsBytes(header, 0);
  let reads = 0;
  const weights: ByteSource = {
    name: WEIGHTS,
    size: start.length + bytes,
    close: () => Promise.resolve(),
    read(offset, length) {
      if (offset + length > start.length) reads++;
      return Promise.resolve(start.slice(offset, offset + length));
    },
  };
  return {
    reads: () => reads,
    open: (name) =>
      name === WEIGHTS
        ? weights
        : name === "config.json"
        ? new TextEncoder().encode(JSON.stringify(json))
        : undefined,
  };
}

test("a model that does not fit is refused before it is read, with the figures", async () => {
  const source = largeModel();
  await assert.rejects(
    Gemma3nForCausalLM.fromPretrained(source, { dtype: "f32" }),
    { name: "DeviceError", message: /\d(\.\d+)? (GB|GiB|MB|MiB)/ },
  );
  assert.equal(source.reads(), 0);
});

test("options that cannot be used are refused", async () => {
  const bad: [Record<string, unknown>, string, RegExp][] = [
    [{ device: "tpu" }, "InputError", /Cannot compute on "tpu": wanted one of/],
    [{ contextLength: 0 }, "InputError", /"contextLength" is 0, wanted/],
    [{ contextLength: 1e6 }, "InputError", /at most 4096 tokens/],
    [{ maxBatchSize: 1.5 }, "InputError", /"maxBatchSize" is 1\.5/],
    [{ prefillChunk: "8" }, "InputError", /"prefillChunk" is 8/],
  ];
  for (const [options, name, message] of bad) {
    const load = Gemma3nForConditionalGeneration.fromPretrained(
      referencePath("tiny-text"),
      options,
    );
    await assert.rejects(load, { name, message });
  }
});
