// Writes a checkpoint as GGUF: the text decoder in a file that llama.cpp loads,
// the towers in one beside it. In blocks of rows: no tensor is ever held whole.
import type { ComputeDtype } from "../core/dtype.ts";
import {
  CheckpointError,
  InputError,
  UnsupportedError,
} from "../core/errors.ts";
import { type JsonObject, parseJsonObject } from "../core/json.ts";
import type { HubOptions } from "../hub/hub_files.ts";
import { type ModelSource, resolveSource } from "../hub/source.ts";
import { openCheckpoint } from "../io/checkpoint.ts";
import type { GgufMetadataValue } from "../io/gguf_header_writer.ts";
import { TOWERS_JSON, towersFileName } from "../io/gguf_towers.ts";
import type { ModelFiles } from "../io/model_files.ts";
import { checkpointNames } from "../models/gemma3n/checkpoint_names.ts";
import {
  type Gemma3nTextConfig,
  parseGemma3nConfig,
} from "../models/gemma3n/config.ts";
import { detectPlatform } from "../platform/detect.ts";
import type { Platform } from "../platform/platform.ts";
import { findChatTemplate } from "../processing/chat_template.ts";
import { eosIds, ggufModelMetadata } from "./gguf_metadata.ts";
import { planGguf } from "./gguf_plan.ts";
import { planTowers, towersMetadata } from "./gguf_towers_plan.ts";
import { ggufTokenizerMetadata } from "./gguf_vocabulary.ts";
import {
  checkTarget,
  type ConvertedFile,
  type ConvertProgress,
  type PlannedFile,
  writeFiles,
} from "./write_files.ts";

export type { ConvertedFile, ConvertProgress } from "./write_files.ts";

/** Options of {@link convertToGguf}. */
export interface ConvertOptions {
  /**
   * Number format of most weights. `q4` keeps embeddings, per-layer projections
   * and the towers at q8; AltUp, LAuReL, the projection that makes per-layer
   * inputs and depthwise convolutions stay at f16 in `q8`, too. Default `"q4"`.
   */
  readonly dtype?: ComputeDtype | undefined;
  /** Write the towers, too, where the source has them. Default true. */
  readonly towers?: boolean | undefined;
  /** Replace files that are there. Default false. */
  readonly overwrite?: boolean | undefined;
  /** Branch, tag or commit on the hub. Default `main`. */
  readonly revision?: string | undefined;
  /** Access token of the hub; default the environment's HF_TOKEN. */
  readonly token?: string | undefined;
  /** Told after every block of rows. */
  readonly onProgress?: ((progress: ConvertProgress) => void) | undefined;
  /** Stops the conversion; nothing is left at the path. */
  readonly signal?: AbortSignal | undefined;
}

/** What {@link convertToGguf} has written: the decoder's file. */
export interface ConvertResult extends ConvertedFile {
  /** The file of the towers; `undefined` where there are none. */
  readonly towers: ConvertedFile | undefined;
}

/**
 * Writes the text decoder of a checkpoint, its tokenizer and its chat template
 * as a GGUF file, and the towers for pictures and sound as a second one beside
 * it, `mmproj-` and the name of the first. The first is loaded by llama.cpp,
 * too; both together are the whole model here.
 *
 * @param source Hub id, local directory, URL of a folder or of a GGUF file, or an object that opens files by name.
 * @param path Where to write, a local path.
 * @throws {InputError} When there is a file at a path, or a weight has no place in the format.
 * @throws {CheckpointError} When the checkpoint is damaged or incomplete.
 * @throws {UnsupportedError} When the runtime has no files, or the model a head of its own.
 *
 * @example
 * ```ts
 * import { convertToGguf } from "@g3n/core";
 *
 * const path = `${Deno.makeTempDirSync()}/tiny.gguf`;
 * const { tensors, towers } = await convertToGguf("tests/reference/tiny", path, { dtype: "q8" });
 * console.log(tensors, towers?.path);
 * ```
 */
export async function convertToGguf(
  source: ModelSource,
  path: string,
  options: ConvertOptions = {},
): Promise<ConvertResult> {
  const platform = await detectPlatform();
  await checkTarget(platform, path, options.overwrite ?? false);
  const hub: HubOptions = {
    revision: options.revision,
    token: options.token,
    signal: options.signal,
  };
  const files = await resolveSource(source, platform, hub);
  const { dtype = "q4" } = options;
  const config = parseGemma3nConfig(await requiredJson(files, "config.json"));
  const { textConfig } = config;
  await using checkpoint = await openCheckpoint(files);
  const names = await checkpointNames(checkpoint, config);
  if (names.head !== undefined) {
    throw new UnsupportedError(
      `Cannot convert ${files.describe()}: its head "${names.head}" is not the token embedding, which the file format wants`,
    );
  }
  const decoder: PlannedFile = {
    path,
    metadata: await metadataOf(files, textConfig, dtype),
    tensors: planGguf(
      { checkpoint, prefix: names.text, config: textConfig },
      dtype,
    ),
  };
  const tensors = options.towers ?? true
    ? planTowers(checkpoint, names.model, dtype)
    : [];
  const json = await towersJson(files);
  const towers: PlannedFile = {
    path: towersFileName(path),
    metadata: towersMetadata({ name: nameOf(files), dtype, json, tensors }),
    tensors,
  };
  const hasTowers = tensors.length > 0;
  await checkTowersTarget(platform, towers.path, hasTowers, options);
  const [written, writtenTowers] = await writeFiles(
    platform,
    checkpoint,
    hasTowers ? [decoder, towers] : [decoder],
    options,
  );
  return { ...written!, towers: writtenTowers };
}

// A file of towers that is there would be taken for those of the new decoder.
async function checkTowersTarget(
  platform: Platform,
  path: string,
  hasTowers: boolean,
  { overwrite = false }: ConvertOptions,
): Promise<void> {
  if (hasTowers) return await checkTarget(platform, path, overwrite);
  if (await platform.stat(path) !== "missing") {
    throw new InputError(
      `Cannot write a decoder alone: "${path}" would be taken for its towers; remove it, or choose another name`,
    );
  }
}

/** The JSON files that say something of the towers. */
async function towersJson(
  files: ModelFiles,
): Promise<Record<string, JsonObject | undefined>> {
  const json: Record<string, JsonObject | undefined> = {};
  for (const name of Object.keys(TOWERS_JSON)) {
    json[name] = await readJson(files, name);
  }
  // Before Transformers 5 the tokens had a file of their own.
  const tokens = await readJson(files, "special_tokens_map.json");
  const config = "tokenizer_config.json";
  if (tokens !== undefined) json[config] = { ...tokens, ...json[config] };
  return json;
}

function nameOf(files: ModelFiles): string {
  return files.describe().split(/[/\\]/).findLast((part) => part !== "") ??
    "gemma-3n";
}

async function metadataOf(
  files: ModelFiles,
  config: Gemma3nTextConfig,
  dtype: ComputeDtype,
): Promise<Map<string, GgufMetadataValue>> {
  const generationConfig = await readJson(files, "generation_config.json");
  const tokenizerConfig = await requiredJson(files, "tokenizer_config.json");
  const chatTemplate = findChatTemplate({
    jinja: await files.readText("chat_template.jinja"),
    json: await readJson(files, "chat_template.json") ??
      await readJson(files, "processor_config.json"),
    tokenizerConfig,
  });
  const tokenizer = ggufTokenizerMetadata(
    {
      tokenizerJson: await requiredJson(files, "tokenizer.json"),
      tokenizerConfig,
      chatTemplate,
    },
    config.vocabSize,
    // A conversation's turns end with the last of them.
    eosIds(config, generationConfig).at(-1),
  );
  return new Map([
    ...ggufModelMetadata({
      name: nameOf(files),
      config,
      generationConfig,
      dtype,
    }),
    ...tokenizer,
  ]);
}

async function readJson(
  files: ModelFiles,
  name: string,
): Promise<JsonObject | undefined> {
  const text = await files.readText(name);
  return text === undefined ? undefined : parseJsonObject(text, name);
}

async function requiredJson(
  files: ModelFiles,
  name: string,
): Promise<JsonObject> {
  const json = await readJson(files, name);
  if (json !== undefined) return json;
  throw new CheckpointError(
    `Cannot find "${name}" in ${files.describe()}: a conversion needs it`,
    { file: name },
  );
}
