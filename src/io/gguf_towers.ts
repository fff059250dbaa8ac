// The file of the towers beside a GGUF file: vision and audio tower with their
// embedders under Transformers' names, which a GGUF of the architecture
// "gemma3n" has no place for. llama.cpp's files of that kind ("clip") have the
// vision tower alone, with convolutions in four dimensions, the innermost the
// kernel's, which blocks of 32 values do not fit. Here those lie as matrices.
import { CheckpointError, UnsupportedError } from "../core/errors.ts";
import { type JsonObject, parseJsonObject } from "../core/json.ts";
import { formatShape, numel } from "../core/shape.ts";
import type { ByteSource } from "./byte_source.ts";
import { type GgufHeader, type GgufTensor, readGgufHeader } from "./gguf.ts";
import type { ModelFiles } from "./model_files.ts";

/** Architecture of the files of towers. */
export const TOWERS_ARCHITECTURE = "g3n-towers";
/** In front of the towers' names in Transformers. */
export const TOWERS_PREFIX = "model.";
/** Parts that a file of towers has; the first word of its tensors' names. */
export const TOWER_PARTS: readonly string[] = [
  "vision_tower",
  "audio_tower",
  "embed_vision",
  "embed_audio",
];

/** Key of the shapes of tensors that lie in the file in another, a JSON object. */
export const TOWERS_SHAPES_KEY = "g3n.shapes";

/**
 * Texts of a model's JSON files that the metadata hold, by their key: of
 * config.json all but the decoder's part, of tokenizer_config.json the tokens
 * of pictures and sound.
 */
export const TOWERS_JSON: Readonly<Record<string, string>> = {
  "config.json": "g3n.config",
  "processor_config.json": "g3n.processor_config",
  "preprocessor_config.json": "g3n.preprocessor_config",
  "tokenizer_config.json": "g3n.tokenizer_config",
};

/** An opened file of towers. */
export interface TowersFile {
  readonly name: string;
  readonly source: ByteSource;
  readonly header: GgufHeader;
}

/**
 * Name of the file that holds the towers of a GGUF file: `mmproj-` in front, as
 * llama.cpp has it; the parts of a split model have one.
 */
export function towersFileName(name: string): string {
  const [, folder, file] = /^(.*[/\\])?(.*)$/s.exec(name)!;
  return `${folder ?? ""}mmproj-${
    file!.replace(/-\d{5}-of-\d{5}(\.gguf)$/i, "$1")
  }`;
}

/**
 * Opens the towers beside a GGUF file; the caller closes the source.
 *
 * @param name The file of the decoder.
 * @returns The file, or `undefined` where there is none.
 * @throws {CheckpointError} When it is truncated or damaged.
 * @throws {UnsupportedError} When it is another kind of file.
 */
export async function openTowers(
  files: ModelFiles,
  name: string,
): Promise<TowersFile | undefined> {
  const towers = towersFileName(name);
  const source = await files.open(towers);
  if (source === undefined) return undefined;
  try {
    const header = await readGgufHeader(source);
    checkTowersArchitecture(header, towers);
    return { name: towers, source, header };
  } catch (error) {
    await source.close();
    throw error;
  }
}

/**
 * What the file says in place of one of a model's JSON files; `undefined` where
 * it says nothing.
 *
 * @throws {CheckpointError} When it is not the text of a JSON object.
 */
export function towersJson(
  header: GgufHeader,
  file: string,
  towers: string,
): JsonObject | undefined {
  return Object.hasOwn(TOWERS_JSON, file)
    ? jsonOf(header, TOWERS_JSON[file]!, towers)
    : undefined;
}

function jsonOf(
  header: GgufHeader,
  key: string,
  file: string,
): JsonObject | undefined {
  const text = header.metadata.get(key);
  if (text === undefined) return undefined;
  if (typeof text !== "string") {
    throw new CheckpointError(
      `Cannot use the metadata of "${file}": "${key}" must be the text of a JSON object; convert the model again`,
      { file },
    );
  }
  return parseJsonObject(text, `${file}: ${key}`);
}

/** Its tensors under Transformers' names, {@link TOWERS_PREFIX} in front. */
export function* towerTensors(
  { header, name: file }: TowersFile,
): Iterable<[string, GgufTensor]> {
  const shapes = jsonOf(header, TOWERS_SHAPES_KEY, file) ?? {};
  for (const [name, tensor] of header.tensors) {
    const fail = (problem: string) =>
      new CheckpointError(
        `Cannot load tensor "${name}" of "${file}": ${problem}; convert the model again`,
        { tensor: name, file },
      );
    if (!TOWER_PARTS.includes(name.split(".", 1)[0]!)) {
      const wanted = TOWER_PARTS.map((part) => `"${part}."`);
      throw fail(`its name begins with none of ${wanted.join(", ")}`);
    }
    const given = Object.hasOwn(shapes, name) ? shapes[name]! : tensor.shape;
    if (!isShape(given) || numel(given) !== numel(tensor.shape)) {
      throw fail(
        `"${TOWERS_SHAPES_KEY}" gives the shape ${
          JSON.stringify(given)
        }, the file has ${formatShape(tensor.shape)}`,
      );
    }
    yield [TOWERS_PREFIX + name, { ...tensor, shape: given }];
  }
}

function isShape(value: unknown): value is readonly number[] {
  return Array.isArray(value) &&
    value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function checkTowersArchitecture(header: GgufHeader, file: string): void {
  const found = header.metadata.get("general.architecture");
  if (found === TOWERS_ARCHITECTURE) return;
  throw new UnsupportedError(
    `Cannot load "${file}": its architecture is ${
      found === undefined ? "not given" : `"${String(found)}"`
    }, "${TOWERS_ARCHITECTURE}" is supported; rename it to have the decoder alone`,
  );
}
