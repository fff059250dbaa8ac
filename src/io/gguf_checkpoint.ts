// A GGUF file of the architecture "gemma3n" as a checkpoint: tensors under
// Transformers' names, rows as they are stored. A model may be split into files
// `name-00001-of-00003.gguf`, and have its towers in a file of their own.
import { CheckpointError, UnsupportedError } from "../core/errors.ts";
import type { ByteSource } from "./byte_source.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { perLayerVocabulary } from "./gguf_config.ts";
import { type GgufHeader, type GgufTensor, readGgufHeader } from "./gguf.ts";
import {
  ARCHITECTURE,
  PER_LAYER_EMBEDDING,
  transformersName,
} from "./gguf_names.ts";
import { openTowers, towerTensors } from "./gguf_towers.ts";
import type { ModelFiles } from "./model_files.ts";
import {
  closeAll,
  type StoredTensor,
  storedTensors,
} from "./stored_tensors.ts";

/** Most files of a split model. */
const MAX_PARTS = 1000;
/** Most matrices of a stacked tensor; Gemma 3n has three. */
const MAX_STACK = 64;

/**
 * Opens a GGUF file and, where it is the first part of a split model, the
 * others; and the file of the towers, where there is one beside it.
 *
 * @param name The file below the model's folder.
 * @throws {CheckpointError} When a file is missing, truncated or damaged.
 * @throws {UnsupportedError} When the model is of another architecture.
 */
export async function openGgufCheckpoint(
  files: ModelFiles,
  name: string,
): Promise<Checkpoint> {
  const sources: ByteSource[] = [];
  try {
    const tensors = new Map<string, StoredTensor>();
    const names = partNames(name);
    const first = await openPart(files, names[0]!, sources);
    checkArchitecture(first.header, name);
    checkPartCount(first.header, names);
    addTensors(tensors, first, decoderTensors(first, first.header));
    for (const name of names.slice(1)) {
      const part = await openPart(files, name, sources);
      addTensors(tensors, part, decoderTensors(part, first.header));
    }
    const towers = await openTowers(files, name);
    if (towers !== undefined) {
      sources.push(towers.source);
      const part = { ...towers, file: towers.name };
      addTensors(tensors, part, towerTensors(towers));
    }
    return storedTensors(files.describe(), tensors, sources);
  } catch (error) {
    await closeAll(sources);
    throw error;
  }
}

/**
 * Names of all files of a model: that of the one file, or those of its parts.
 *
 * @throws {CheckpointError} When the count in the name is out of range.
 */
export function partNames(name: string): string[] {
  const split = /^(.*)-\d{5}-of-(\d{5})\.gguf$/i.exec(name);
  if (split === null) return [name];
  const count = Number(split[2]);
  if (count < 1 || count > MAX_PARTS) {
    throw new CheckpointError(
      `Cannot open "${name}": its name says that there are ${count} parts, wanted 1 to ${MAX_PARTS}`,
      { file: name },
    );
  }
  const digits = (n: number) => String(n).padStart(5, "0");
  return Array.from(
    { length: count },
    (_, i) => `${split[1]}-${digits(i + 1)}-of-${digits(count)}.gguf`,
  );
}

/**
 * Checks that a file holds a Gemma 3n model.
 *
 * @throws {UnsupportedError} When its architecture is another one.
 */
export function checkArchitecture(header: GgufHeader, file: string): void {
  const found = header.metadata.get("general.architecture");
  if (found !== ARCHITECTURE) {
    throw new UnsupportedError(
      `Cannot load "${file}": its architecture is ${
        found === undefined ? "not given" : `"${String(found)}"`
      }, "${ARCHITECTURE}" is supported`,
    );
  }
}

interface Part {
  readonly file: string;
  readonly source: ByteSource;
  readonly header: GgufHeader;
}

async function openPart(
  files: ModelFiles,
  file: string,
  sources: ByteSource[],
): Promise<Part> {
  const source = await files.open(file);
  if (source === undefined) {
    throw new CheckpointError(
      `Cannot find "${file}" in ${files.describe()}; all parts of a GGUF model must be in one folder`,
      { file },
    );
  }
  sources.push(source);
  return { file, source, header: await readGgufHeader(source) };
}

function checkPartCount(header: GgufHeader, names: readonly string[]): void {
  const count = header.metadata.get("split.count") ?? 1;
  if (Number(count) !== Math.max(1, names.length)) {
    throw new CheckpointError(
      `Cannot load "${names[0]}": its metadata says that there are ${
        String(count)
      } parts, its name that there are ${names.length}; keep the names that the parts were published under`,
      { file: names[0]! },
    );
  }
}

function addTensors(
  tensors: Map<string, StoredTensor>,
  { file, source }: Part,
  placed: Iterable<[string, GgufTensor]>,
): void {
  for (const [name, { shape, offset, byteLength, type }] of placed) {
    if (tensors.has(name)) {
      throw new CheckpointError(
        `Cannot load "${file}": tensor "${name}" is in another part, too`,
        { tensor: name, file },
      );
    }
    const { dtype, name: storedAs } = type;
    tensors.set(name, {
      shape,
      offset,
      byteLength,
      dtype,
      storedAs,
      file,
      source,
    });
  }
}

function* decoderTensors(
  { header }: Part,
  first: GgufHeader,
): Iterable<[string, GgufTensor]> {
  for (const [name, tensor] of header.tensors) {
    yield* placed(name, tensor, first);
  }
}

/** A tensor under its names in Transformers; one that Gemma 3n has not keeps its own. */
function* placed(
  ggufName: string,
  tensor: GgufTensor,
  header: GgufHeader,
): Iterable<[string, GgufTensor]> {
  const known = transformersName(ggufName);
  if (known === undefined) {
    yield [ggufName, tensor];
  } else if (known.isStacked) {
    yield* unstacked(known.name, tensor);
  } else if (ggufName === PER_LAYER_EMBEDDING) {
    yield [known.name, firstRows(tensor, perLayerVocabulary(header))];
  } else yield [known.name, tensor];
}

function* unstacked(
  name: string,
  { shape, offset, byteLength, type }: GgufTensor,
): Iterable<[string, GgufTensor]> {
  // Two streams make a stack of one, whose dimension is left out.
  const [count, ...rest] = shape.length < 3 ? [1, ...shape] : shape;
  if (count! > MAX_STACK) {
    throw new CheckpointError(
      `Cannot load tensor "${name}": it is a stack of ${count} matrices, at most ${MAX_STACK} are taken`,
      { tensor: name },
    );
  }
  const bytes = byteLength / count!;
  for (let i = 0; i < count!; i++) {
    yield [`${name}.${i}.weight`, {
      type,
      shape: rest,
      offset: offset + i * bytes,
      byteLength: bytes,
    }];
  }
}

// The table has a row for every token, those of pictures and sound included,
// which Transformers' has not.
function firstRows(tensor: GgufTensor, rows: number): GgufTensor {
  const [all = 0, ...rest] = tensor.shape;
  if (rows >= all) return tensor;
  const byteLength = tensor.byteLength / all * rows;
  return { ...tensor, shape: [rows, ...rest], byteLength };
}
