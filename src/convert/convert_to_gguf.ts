// Writes the text decoder of a checkpoint as a GGUF file that llama.cpp loads,
// in blocks of rows: no tensor is ever held whole.
import type { ComputeDtype } from "../core/dtype.ts";
import {
  CheckpointError,
  InputError,
  UnsupportedError,
} from "../core/errors.ts";
import { type JsonObject, parseJsonObject } from "../core/json.ts";
import type { HubOptions } from "../hub/hub_files.ts";
import { type ModelSource, resolveSource } from "../hub/source.ts";
import { type Checkpoint, openCheckpoint } from "../io/checkpoint.ts";
import {
  encodeGgufHeader,
  type GgufHeaderBytes,
  type GgufMetadataValue,
} from "../io/gguf_header_writer.ts";
import type { ModelFiles } from "../io/model_files.ts";
import { checkpointNames } from "../models/gemma3n/checkpoint_names.ts";
import {
  type Gemma3nTextConfig,
  parseGemma3nConfig,
} from "../models/gemma3n/config.ts";
import { detectPlatform } from "../platform/detect.ts";
import type { Platform, PlatformFileWriter } from "../platform/platform.ts";
import { findChatTemplate } from "../processing/chat_template.ts";
import { eosIds, ggufModelMetadata } from "./gguf_metadata.ts";
import { planGguf, type PlannedTensor } from "./gguf_plan.ts";
import { ggufTokenizerMetadata } from "./gguf_vocabulary.ts";
import { tensorBytes } from "./tensor_bytes.ts";

/** How far a conversion has come. */
export interface ConvertProgress {
  /** Bytes written so far. */
  readonly writtenBytes: number;
  /** Bytes of the whole file. */
  readonly totalBytes: number;
  /** The tensor whose bytes came last, as the file names it; empty for the header. */
  readonly tensor: string;
}

/** Options of {@link convertToGguf}. */
export interface ConvertOptions {
  /**
   * Number format of most weights. `q4` keeps embeddings and per-layer
   * projections at q8; AltUp, LAuReL and the projection that makes per-layer
   * inputs stay at f16 in `q8`, too. Default `"q4"`.
   */
  readonly dtype?: ComputeDtype | undefined;
  /** Replace a file that is there. Default false. */
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

/** What {@link convertToGguf} has written. */
export interface ConvertResult {
  /** Bytes of the file. */
  readonly bytes: number;
  /** Tensors in it. */
  readonly tensors: number;
}

/**
 * Writes the text decoder of a checkpoint, its tokenizer and its chat template
 * as a GGUF file. Vision and audio towers are left out.
 *
 * @param source Hub id, local directory, URL of a folder or of a GGUF file, or an object that opens files by name.
 * @param path Where to write, a local path.
 * @throws {InputError} When there is a file at the path, or a weight has no place in the format.
 * @throws {CheckpointError} When the checkpoint is damaged or incomplete.
 * @throws {UnsupportedError} When the runtime has no files, or the model a head of its own.
 *
 * @example
 * ```ts
 * import { convertToGguf } from "@g3n/core";
 *
 * const path = `${Deno.makeTempDirSync()}/tiny.gguf`;
 * const { tensors } = await convertToGguf("tests/reference/tiny", path, { dtype: "q8" });
 * console.log(tensors);
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
  const { text: prefix, head } = await checkpointNames(checkpoint, config);
  if (head !== undefined) {
    throw new UnsupportedError(
      `Cannot convert ${files.describe()}: its head "${head}" is not the token embedding, which the file format wants`,
    );
  }
  const tensors = planGguf({ checkpoint, prefix, config: textConfig }, dtype);
  const header = encodeGgufHeader(
    await metadataOf(files, textConfig, dtype),
    tensors,
  );
  await writeFile({
    file: await createFile(platform, path),
    header,
    checkpoint,
    tensors,
  }, options);
  return { bytes: header.fileBytes, tensors: tensors.length };
}

interface FileParts {
  readonly file: PlatformFileWriter;
  readonly header: GgufHeaderBytes;
  readonly checkpoint: Checkpoint;
  readonly tensors: readonly PlannedTensor[];
}

async function writeFile(
  { file, header, checkpoint, tensors }: FileParts,
  { onProgress, signal }: ConvertOptions,
): Promise<void> {
  let writtenBytes = 0;
  const write = async (bytes: Uint8Array, tensor: string) => {
    signal?.throwIfAborted();
    await file.write(bytes);
    writtenBytes += bytes.byteLength;
    onProgress?.({ writtenBytes, totalBytes: header.fileBytes, tensor });
  };
  try {
    await write(header.bytes, "");
    for (const tensor of tensors) {
      for await (const bytes of tensorBytes(checkpoint, tensor)) {
        await write(bytes, tensor.name);
      }
    }
  } catch (error) {
    await file.discard();
    throw error;
  }
  await file.finish();
}

async function checkTarget(
  platform: Platform,
  path: string,
  overwrite: boolean,
): Promise<void> {
  const found = await platform.stat(path);
  if (found === "directory" || (found === "file" && !overwrite)) {
    throw new InputError(
      `Cannot write "${path}": there is a ${found} of that name; ${
        found === "file"
          ? 'choose another, or set "overwrite" (--force)'
          : "name a file"
      }`,
    );
  }
}

async function createFile(
  platform: Platform,
  path: string,
): Promise<PlatformFileWriter> {
  if (platform.createFile === undefined) {
    throw new UnsupportedError(
      `Cannot write "${path}": this runtime has no local files`,
    );
  }
  return await platform.createFile(path);
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
  const name = files.describe().split(/[/\\]/).findLast((part) => part !== "");
  return new Map([
    ...ggufModelMetadata({
      name: name ?? "gemma-3n",
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
