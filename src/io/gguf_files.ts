// A GGUF file as a model's folder: the JSON files that Transformers has beside
// the weights, made from the metadata. Files that do lie beside it win, except
// config.json, which may belong to another model there.
import type { JsonObject } from "../core/json.ts";
import type { GgufHeader } from "./gguf.ts";
import { readGgufHeader } from "./gguf.ts";
import { checkArchitecture, partNames } from "./gguf_checkpoint.ts";
import { ggufConfig, ggufGenerationConfig } from "./gguf_config.ts";
import { ggufTokenizerConfig, ggufTokenizerJson } from "./gguf_tokenizer.ts";
import {
  openTowers,
  TOWERS_JSON,
  towersFileName,
  towersJson,
} from "./gguf_towers.ts";
import type { ModelFiles } from "./model_files.ts";
import { CheckpointError } from "../core/errors.ts";

const FROM_METADATA: Readonly<
  Record<string, (header: GgufHeader, file: string) => JsonObject>
> = {
  "config.json": ggufConfig,
  "generation_config.json": ggufGenerationConfig,
  "tokenizer.json": ggufTokenizerJson,
  "tokenizer_config.json": ggufTokenizerConfig,
};

/**
 * The files of a model whose weights are in a GGUF file; those of its towers
 * may be in a second one beside it ({@link towersFileName}).
 *
 * @param files The folder that holds the file.
 * @param name The file; of a split model, any part.
 */
export function ggufFiles(files: ModelFiles, name: string): ModelFiles {
  let header: Promise<GgufHeader> | undefined;
  let towers: Promise<GgufHeader | undefined> | undefined;
  const readHeader = () => header ??= openHeader(files, name);
  const readTowers = () => towers ??= openTowersHeader(files, name);
  const make = async (file: string): Promise<JsonObject | undefined> => {
    const fromDecoder = Object.hasOwn(FROM_METADATA, file)
      ? FROM_METADATA[file]!(await readHeader(), name)
      : undefined;
    if (!Object.hasOwn(TOWERS_JSON, file)) return fromDecoder;
    const towersHeader = await readTowers();
    const fromTowers = towersHeader &&
      towersJson(towersHeader, file, towersFileName(name));
    if (fromDecoder === undefined || fromTowers === undefined) {
      return fromDecoder ?? fromTowers;
    }
    return file === "config.json"
      ? { ...fromTowers, model_type: "gemma3n", text_config: fromDecoder }
      : { ...fromTowers, ...fromDecoder };
  };
  return {
    gguf: name,
    open: files.open,
    describe: () => `${files.describe()}/${name}`,
    async readText(file) {
      const beside = file === "config.json"
        ? undefined
        : await files.readText(file);
      if (beside !== undefined) return beside;
      const made = await make(file);
      return made === undefined ? undefined : JSON.stringify(made);
    },
  };
}

async function openTowersHeader(
  files: ModelFiles,
  name: string,
): Promise<GgufHeader | undefined> {
  const towers = await openTowers(files, name);
  await towers?.source.close();
  return towers?.header;
}

async function openHeader(
  files: ModelFiles,
  name: string,
): Promise<GgufHeader> {
  const first = partNames(name)[0]!;
  const source = await files.open(first);
  if (source === undefined) {
    throw new CheckpointError(
      `Cannot find "${first}" in ${files.describe()}`,
      { file: first },
    );
  }
  try {
    const header = await readGgufHeader(source);
    checkArchitecture(header, first);
    return header;
  } finally {
    await source.close();
  }
}
