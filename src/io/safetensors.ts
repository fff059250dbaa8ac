// The header of a safetensors file: 8 bytes of length (little-endian), that
// many bytes of JSON `{ name: { dtype, shape, data_offsets } }`, then the data,
// which the tensors cover exactly, without holes or overlaps.
import { CheckpointError } from "../core/errors.ts";
import { formatShape, numel, type Shape } from "../core/shape.ts";
import type { ByteSource } from "./byte_source.ts";
import {
  decodeUtf8,
  isJsonObject,
  type JsonObject,
  parseUniqueJsonObject,
} from "../core/json.ts";

/** Bytes per element of each element type of the format. */
const ELEMENT_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
} as const;

/** Element type, as spelled in the file. */
export type SafetensorsDtype = keyof typeof ELEMENT_BYTES;

/** One tensor of a file. */
export interface SafetensorsTensor {
  readonly dtype: SafetensorsDtype;
  readonly shape: Shape;
  /** Where its data begins, in bytes from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

/** What a header says. */
export interface SafetensorsHeader {
  /** The strings under `__metadata__`. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Tensors by name, in the order of their data. */
  readonly tensors: ReadonlyMap<string, SafetensorsTensor>;
}

/** Most bytes of JSON that the format allows. */
const MAX_HEADER_BYTES = 100_000_000;
const LENGTH_BYTES = 8;

/**
 * Reads and checks the header of a safetensors file.
 *
 * @throws {CheckpointError} When the file is truncated or damaged.
 */
export async function readSafetensorsHeader(
  source: ByteSource,
): Promise<SafetensorsHeader> {
  const file = source.name;
  const prefix = await source.read(0, LENGTH_BYTES);
  const view = new DataView(prefix.buffer, prefix.byteOffset, LENGTH_BYTES);
  const length = Number(view.getBigUint64(0, true));
  const limit = Math.min(MAX_HEADER_BYTES, source.size - LENGTH_BYTES);
  if (length < 2 || length > limit) {
    throw new CheckpointError(
      `Cannot read the header of "${file}": its length is given as ${length} bytes, ` +
        `a file of ${source.size} bytes allows 2 to ${limit}; fetch the file again`,
      { file },
    );
  }
  const text = decodeUtf8(await source.read(LENGTH_BYTES, length), file);
  const dataStart = LENGTH_BYTES + length;
  return parseHeader(
    parseUniqueJsonObject(text, file),
    file,
    dataStart,
    source.size,
  );
}

function parseHeader(
  json: JsonObject,
  file: string,
  dataStart: number,
  fileSize: number,
): SafetensorsHeader {
  const metadata = new Map<string, string>();
  const entries: [string, SafetensorsTensor][] = [];
  for (const [name, value] of Object.entries(json)) {
    if (name === "__metadata__") {
      for (const [key, text] of metadataEntries(value, file)) {
        metadata.set(key, text);
      }
    } else entries.push([name, parseTensor(name, value, file, dataStart)]);
  }
  // An empty tensor shares its offset with the next one and must come first.
  entries.sort(([, a], [, b]) =>
    a.offset - b.offset || a.byteLength - b.byteLength
  );
  checkCoverage(entries, file, dataStart, fileSize);
  return { metadata, tensors: new Map(entries) };
}

function metadataEntries(value: unknown, file: string): [string, string][] {
  const entries = isJsonObject(value) ? Object.entries(value) : undefined;
  const strings = entries?.filter((entry): entry is [string, string] =>
    typeof entry[1] === "string"
  );
  if (strings === undefined || strings.length !== entries?.length) {
    throw new CheckpointError(
      `Cannot read the header of "${file}": "__metadata__" must map names to strings`,
      { file },
    );
  }
  return strings;
}

function parseTensor(
  name: string,
  value: unknown,
  file: string,
  dataStart: number,
): SafetensorsTensor {
  const fail = (problem: string): never => {
    throw new CheckpointError(
      `Cannot read tensor "${name}" of "${file}": ${problem}`,
      { tensor: name, file },
    );
  };
  if (!isJsonObject(value)) {
    return fail("its header entry must be an object");
  }
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isDtype(dtype)) {
    return fail(`its dtype ${JSON.stringify(dtype)} is not one of the format`);
  }
  if (!isCounts(shape)) {
    return fail(
      `its shape ${JSON.stringify(shape)} must be an array of whole numbers`,
    );
  }
  const [begin, end] = isCounts(offsets) ? offsets : [];
  if (
    begin === undefined || end === undefined || end < begin ||
    (offsets as unknown[]).length !== 2
  ) {
    return fail(
      `its data_offsets ${JSON.stringify(offsets)} must be [begin, end]`,
    );
  }
  const wanted = numel(shape) * ELEMENT_BYTES[dtype];
  if (end - begin !== wanted) {
    return fail(
      `shape ${
        formatShape(shape)
      } of ${dtype} takes ${wanted} bytes, data_offsets give ${end - begin}`,
    );
  }
  return { dtype, shape, offset: dataStart + begin, byteLength: wanted };
}

function checkCoverage(
  entries: readonly [string, SafetensorsTensor][],
  file: string,
  dataStart: number,
  fileSize: number,
): void {
  let position = dataStart;
  for (const [name, { offset, byteLength }] of entries) {
    if (offset !== position) {
      throw new CheckpointError(
        `Cannot read tensor "${name}" of "${file}": its data begins at byte ${offset}, ` +
          `the tensor before it ends at ${position}`,
        { tensor: name, file },
      );
    }
    position += byteLength;
    if (position > fileSize) {
      throw new CheckpointError(
        `Cannot read tensor "${name}" of "${file}": its data ends at byte ${position}, ` +
          `the file has ${fileSize} bytes; it is truncated, fetch it again`,
        { tensor: name, file },
      );
    }
  }
  if (position !== fileSize) {
    throw new CheckpointError(
      `Cannot use "${file}": its tensors end at byte ${position}, the file has ${fileSize} bytes; fetch it again`,
      { file },
    );
  }
}

function isDtype(value: unknown): value is SafetensorsDtype {
  return typeof value === "string" && Object.hasOwn(ELEMENT_BYTES, value);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) &&
    value.every((n) => Number.isSafeInteger(n) && n >= 0);
}
