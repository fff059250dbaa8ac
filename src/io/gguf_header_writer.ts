// The header of a GGUF file to be written: metadata and the table of tensors,
// whose data follow in the same order.
import {
  BLOCK_SIZES,
  type CheckpointDtype,
  isBlockDtype,
  STORAGE_BYTES,
} from "../core/dtype.ts";
import { InputError } from "../core/errors.ts";
import { formatShape, numel, type Shape } from "../core/shape.ts";
import { alignUp } from "./gguf.ts";
import {
  DEFAULT_ALIGNMENT,
  GGML_TYPE_NUMBERS,
  GGUF_MAGIC,
  GGUF_VERSION,
  VALUE_TYPES,
} from "./gguf_types.ts";

/** A metadata value with its type: texts, booleans, numbers, and lists of these. */
export type GgufMetadataValue =
  | string
  | boolean
  | { readonly uint32: number }
  | { readonly float32: number }
  | Uint32Array
  | Int32Array
  | Float32Array
  | readonly string[]
  | readonly boolean[];

/** A tensor to be written. */
export interface GgufTensorSpec {
  readonly name: string;
  /** Outermost dimension first. */
  readonly shape: Shape;
  readonly dtype: CheckpointDtype;
}

/** A header, and what follows it. */
export interface GgufHeaderBytes {
  /** The header with the padding behind it. */
  readonly bytes: Uint8Array;
  /** Bytes of the whole file. */
  readonly fileBytes: number;
}

/** Bytes of a tensor; without the padding behind it, {@link paddingAfter}. */
export function ggufTensorBytes(
  { shape, dtype, name }: GgufTensorSpec,
): number {
  if (!isBlockDtype(dtype)) return numel(shape) * STORAGE_BYTES[dtype];
  const { values, bytes } = BLOCK_SIZES[dtype];
  if ((shape.at(-1) ?? 1) % values !== 0) {
    throw new InputError(
      `Cannot write tensor "${name}" of shape ${
        formatShape(shape)
      } as ${dtype}: its rows must be a multiple of ${values}`,
    );
  }
  return numel(shape) / values * bytes;
}

/** Zeros behind a tensor of that many bytes. */
export function paddingAfter(bytes: number): number {
  return alignUp(bytes, DEFAULT_ALIGNMENT) - bytes;
}

/**
 * Encodes a header.
 *
 * @throws {InputError} When a tensor's rows are not whole blocks of its type.
 */
export function encodeGgufHeader(
  metadata: ReadonlyMap<string, GgufMetadataValue>,
  tensors: readonly GgufTensorSpec[],
): GgufHeaderBytes {
  const out = new ByteWriter();
  out.raw(new TextEncoder().encode(GGUF_MAGIC));
  out.uint32(GGUF_VERSION);
  out.uint64(tensors.length);
  out.uint64(metadata.size);
  for (const [key, value] of metadata) {
    out.string(key);
    writeValue(out, value);
  }
  let offset = 0;
  for (const tensor of tensors) {
    out.string(tensor.name);
    out.uint32(tensor.shape.length);
    for (const size of tensor.shape.toReversed()) out.uint64(size);
    out.uint32(GGML_TYPE_NUMBERS.get(tensor.dtype)!);
    out.uint64(offset);
    offset += alignUp(ggufTensorBytes(tensor), DEFAULT_ALIGNMENT);
  }
  out.raw(new Uint8Array(paddingAfter(out.length)));
  const bytes = out.bytes();
  return { bytes, fileBytes: bytes.byteLength + offset };
}

function writeValue(out: ByteWriter, value: GgufMetadataValue): void {
  if (typeof value === "string") {
    out.uint32(VALUE_TYPES.string);
    out.string(value);
  } else if (typeof value === "boolean") {
    out.uint32(VALUE_TYPES.bool);
    out.raw(Uint8Array.of(value ? 1 : 0));
  } else if ("uint32" in value) {
    out.uint32(VALUE_TYPES.uint32);
    out.uint32(value.uint32);
  } else if ("float32" in value) {
    out.uint32(VALUE_TYPES.float32);
    out.raw(bytesOf(Float32Array.of(value.float32)));
  } else writeArray(out, value);
}

function writeArray(
  out: ByteWriter,
  value: Exclude<
    GgufMetadataValue,
    string | boolean | { uint32: number } | { float32: number }
  >,
): void {
  out.uint32(VALUE_TYPES.array);
  out.uint32(VALUE_TYPES[itemType(value)]);
  out.uint64(value.length);
  if (ArrayBuffer.isView(value)) return out.raw(bytesOf(value));
  for (const item of value) {
    if (typeof item === "string") out.string(item);
    else out.raw(Uint8Array.of(item ? 1 : 0));
  }
}

function itemType(value: object): keyof typeof VALUE_TYPES {
  if (value instanceof Uint32Array) return "uint32";
  if (value instanceof Int32Array) return "int32";
  if (value instanceof Float32Array) return "float32";
  const [first] = value as readonly (string | boolean)[];
  return typeof first === "boolean" ? "bool" : "string";
}

function bytesOf(array: Uint32Array | Int32Array | Float32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** Bytes one after another, in memory that doubles. */
class ByteWriter {
  #bytes = new Uint8Array(4096);
  readonly #encoder = new TextEncoder();
  /** Bytes written. */
  length = 0;

  raw(bytes: Uint8Array): void {
    const at = this.#room(bytes.byteLength);
    this.#bytes.set(bytes, at);
  }

  uint32(value: number): void {
    const at = this.#room(4);
    new DataView(this.#bytes.buffer).setUint32(at, value, true);
  }

  uint64(value: number): void {
    const at = this.#room(8);
    new DataView(this.#bytes.buffer).setBigUint64(at, BigInt(value), true);
  }

  string(text: string): void {
    const bytes = this.#encoder.encode(text);
    this.uint64(bytes.byteLength);
    this.raw(bytes);
  }

  bytes(): Uint8Array {
    return this.#bytes.slice(0, this.length);
  }

  #room(bytes: number): number {
    const at = this.length;
    this.length += bytes;
    if (this.length > this.#bytes.byteLength) {
      const larger = new Uint8Array(2 * this.length);
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
    }
    return at;
  }
}
