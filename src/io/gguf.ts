// The header of a GGUF file: magic, version, counts, metadata `key type value`,
// tensors `name shape type offset`, then the data from the next multiple of the
// alignment on, every tensor at such a multiple. Shapes are innermost dimension
// first in the file and outermost first here.
import { CheckpointError, UnsupportedError } from "../core/errors.ts";
import { formatShape, numel, type Shape } from "../core/shape.ts";
import type { ByteSource } from "./byte_source.ts";
import { GgufReader } from "./gguf_reader.ts";
import {
  ALIGNMENT_KEY,
  DEFAULT_ALIGNMENT,
  GGML_TYPES,
  type GgmlType,
  GGUF_MAGIC,
  GGUF_VERSION,
  type GgufValue,
} from "./gguf_types.ts";

/** One tensor of a file. */
export interface GgufTensor {
  readonly type: GgmlType;
  readonly shape: Shape;
  /** Where its data begins, in bytes from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

/** What a header says. */
export interface GgufHeader {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** Tensors by name, in the order of the file. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

/** Oldest version with 64-bit counts. */
const OLDEST_VERSION = 2;
/** A larger version or type number is damage, not news. */
const PLAUSIBLE_NUMBER = 256;
/** Least bytes of a metadata entry (key, type, one byte) and of a tensor's entry. */
const LEAST_ENTRY_BYTES = 8 + 4 + 1;
const LEAST_TENSOR_BYTES = 8 + 4 + 8 + 4 + 8;
const MAX_DIMENSIONS = 4;
const MAX_ALIGNMENT = 65_536;

/**
 * Reads and checks the header of a GGUF file, version 2 or 3.
 *
 * @throws {CheckpointError} When the file is truncated or damaged.
 * @throws {UnsupportedError} When it is of another version or has tensors of
 * an unknown type.
 */
export async function readGgufHeader(source: ByteSource): Promise<GgufHeader> {
  const reader = new GgufReader(source);
  await checkVersion(reader, source);
  const tensorCount = await reader.count("tensors", LEAST_TENSOR_BYTES);
  const keyCount = await reader.count("metadata keys", LEAST_ENTRY_BYTES);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < keyCount; i++) {
    const key = await reader.string("a metadata key");
    if (metadata.has(key)) throw reader.error(`the key "${key}" occurs twice`);
    metadata.set(key, await reader.value(key));
  }
  const entries = new Map<string, GgufTensor>();
  for (let i = 0; i < tensorCount; i++) {
    const name = await reader.string("a tensor's name");
    if (entries.has(name)) throw reader.error(`tensor "${name}" occurs twice`);
    entries.set(name, await readTensor(reader, name, source.name));
  }
  const alignment = readAlignment(metadata, source.name);
  const start = alignUp(reader.position, alignment);
  return {
    metadata,
    tensors: placeTensors(entries, start, alignment, source),
  };
}

/** The next multiple of `alignment`, a power of two below 2^31, from `offset` on. */
export function alignUp(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment;
}

async function checkVersion(
  reader: GgufReader,
  { name: file }: ByteSource,
): Promise<void> {
  const magic = await reader.uint32();
  const wanted = [...GGUF_MAGIC].reduce(
    (sum, c, i) => sum + c.charCodeAt(0) * 256 ** i,
    0,
  );
  if (magic !== wanted) {
    throw new CheckpointError(
      `Cannot read "${file}": it does not begin with "${GGUF_MAGIC}", so it is no GGUF file`,
      { file },
    );
  }
  const version = await reader.uint32();
  if (version > PLAUSIBLE_NUMBER) {
    throw reader.error(
      `its version is ${version}, wanted ${OLDEST_VERSION} or ${GGUF_VERSION} in little-endian order`,
    );
  }
  if (version < OLDEST_VERSION || version > GGUF_VERSION) {
    throw new UnsupportedError(
      `Cannot read "${file}": it is GGUF of version ${version}, ${OLDEST_VERSION} and ${GGUF_VERSION} are supported`,
    );
  }
}

async function readTensor(
  reader: GgufReader,
  name: string,
  file: string,
): Promise<GgufTensor> {
  const dimensions = await reader.uint32();
  if (dimensions > MAX_DIMENSIONS) {
    throw reader.error(
      `tensor "${name}" has ${dimensions} dimensions, at most ${MAX_DIMENSIONS} are possible`,
    );
  }
  const shape: number[] = [];
  for (let i = 0; i < dimensions; i++) shape.unshift(await reader.uint64());
  const number = await reader.uint32();
  const offset = await reader.uint64();
  const type = GGML_TYPES.get(number);
  if (type === undefined) {
    if (number > PLAUSIBLE_NUMBER) {
      throw reader.error(`tensor "${name}" is of type ${number}`);
    }
    throw new UnsupportedError(
      `Cannot read tensor "${name}" of "${file}": its type ${number} is unknown`,
    );
  }
  const width = shape.at(-1) ?? 1;
  if (width % type.values !== 0) {
    throw reader.error(
      `tensor "${name}" has rows of ${width} values, ${type.name} needs a multiple of ${type.values}`,
    );
  }
  const byteLength = numel(shape) / type.values * type.bytes;
  return { type, shape, offset, byteLength };
}

function readAlignment(
  metadata: ReadonlyMap<string, GgufValue>,
  file: string,
): number {
  const alignment = metadata.get(ALIGNMENT_KEY) ?? DEFAULT_ALIGNMENT;
  const isPower = typeof alignment === "number" && alignment > 0 &&
    alignment <= MAX_ALIGNMENT && Number.isInteger(Math.log2(alignment));
  if (!isPower) {
    throw new CheckpointError(
      `Cannot read the header of "${file}": "${ALIGNMENT_KEY}" is ${
        String(alignment)
      }, wanted a power of two up to ${MAX_ALIGNMENT}; fetch the file again`,
      { file },
    );
  }
  return alignment;
}

// As in ggml, the data of a tensor begins where that of the one before ends,
// at the next multiple of the alignment.
function placeTensors(
  entries: ReadonlyMap<string, GgufTensor>,
  start: number,
  alignment: number,
  { name: file, size }: ByteSource,
): Map<string, GgufTensor> {
  const placed = new Map<string, GgufTensor>();
  let position = 0;
  for (const [name, tensor] of entries) {
    const { offset, byteLength, shape, type } = tensor;
    const fail = (problem: string) =>
      new CheckpointError(
        `Cannot read tensor "${name}" of "${file}": ${problem}; fetch the file again`,
        { tensor: name, file },
      );
    if (offset !== position) {
      throw fail(
        `its data begins at byte ${offset} of the data, the tensor before it ends at ${position}`,
      );
    }
    if (start + offset + byteLength > size) {
      throw fail(
        `shape ${
          formatShape(shape)
        } of ${type.name} takes ${byteLength} bytes from byte ${
          start + offset
        } on, the file has ${size}`,
      );
    }
    placed.set(name, { ...tensor, offset: start + offset });
    position = alignUp(offset + byteLength, alignment);
  }
  return placed;
}
