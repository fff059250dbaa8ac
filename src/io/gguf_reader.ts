// Reads numbers and strings of a GGUF header one after another. A header says
// nowhere how long it is, so the file is read in pieces as far as it goes;
// every length is checked against what is left of the file before anything of
// that size is made.
import { CheckpointError } from "../core/errors.ts";
import type { ByteSource } from "./byte_source.ts";
import {
  type GgufArray,
  type GgufValue,
  SCALAR_BYTES,
  type ScalarType,
  VALUE_TYPES,
  type ValueType,
} from "./gguf_types.ts";

const PIECE_BYTES = 1024 * 1024;
/** Arrays inside arrays: how deep, and how many altogether. */
const MAX_DEPTH = 4;
const MAX_NESTED_ARRAYS = 65_536;
/** An array within an array has a type and a length. */
const NESTED_BYTES = 12;
const LENGTH_BYTES = 8;

const TYPE_NAMES: ReadonlyMap<number, ValueType> = new Map(
  Object.entries(VALUE_TYPES).map((
    [name, number],
  ) => [number, name as ValueType]),
);

/** A position in a file. */
export class GgufReader {
  readonly #source: ByteSource;
  readonly #decoder = new TextDecoder("utf-8", {
    fatal: true,
    ignoreBOM: true, // a byte order mark may be a token
  });
  #view: DataView = new DataView(new ArrayBuffer(0));
  #bytes: Uint8Array = new Uint8Array(0);
  /** Offset in the file of the piece at hand. */
  #start = 0;
  /** Position within the piece. */
  #at = 0;
  #nestedArrays = 0;

  /** Stands at the start of `source`. */
  constructor(source: ByteSource) {
    this.#source = source;
  }

  /** Offset in the file of what is read next. */
  get position(): number {
    return this.#start + this.#at;
  }

  /** Bytes of the file from the position on. */
  get remaining(): number {
    return this.#source.size - this.position;
  }

  /** An error about the file at this position. */
  error(problem: string, cause?: unknown): CheckpointError {
    const file = this.#source.name;
    return new CheckpointError(
      `Cannot read the header of "${file}" at byte ${this.position}: ${problem}; fetch the file again`,
      { file, cause },
    );
  }

  /** An unsigned 32-bit integer. */
  async uint32(): Promise<number> {
    const at = await this.#take(4);
    return this.#view.getUint32(at, true);
  }

  /** An unsigned 64-bit integer that counts things of at least `bytes` bytes still to come. */
  async count(what: string, bytes: number): Promise<number> {
    const at = await this.#take(8);
    const count = Number(this.#view.getBigUint64(at, true));
    if (count * bytes > this.remaining) {
      throw this.error(
        `it counts ${count} ${what}, the ${this.remaining} bytes left hold ${
          Math.floor(this.remaining / bytes)
        } at most`,
      );
    }
    return count;
  }

  /** An unsigned 64-bit integer; beyond 2^53 it is not exact. */
  async uint64(): Promise<number> {
    const at = await this.#take(8);
    return Number(this.#view.getBigUint64(at, true));
  }

  /** A string: its length in bytes, then UTF-8. */
  async string(what: string): Promise<string> {
    const length = await this.count(`bytes of ${what}`, 1);
    const at = await this.#take(length);
    try {
      return this.#decoder.decode(this.#bytes.subarray(at, at + length));
    } catch (cause) {
      throw this.error(`${what} is not valid UTF-8`, cause);
    }
  }

  /** A metadata value: its type, then the value. */
  async value(key: string): Promise<GgufValue> {
    const type = await this.#type(key);
    if (type === "array") return await this.#array(key, 1);
    if (type === "string") return await this.string(`the value of "${key}"`);
    return this.#scalar(type, await this.#take(SCALAR_BYTES[type]));
  }

  async #type(key: string): Promise<ValueType> {
    const number = await this.uint32();
    const type = TYPE_NAMES.get(number);
    if (type === undefined) {
      throw this.error(
        `the value of "${key}" is of type ${number}, which is not one of the format`,
      );
    }
    return type;
  }

  async #array(key: string, depth: number): Promise<GgufArray> {
    const type = await this.#type(key);
    if (type === "string") {
      const count = await this.count(`strings of "${key}"`, LENGTH_BYTES);
      const strings: string[] = [];
      for (let i = 0; i < count; i++) {
        strings.push(await this.string(`a string of "${key}"`));
      }
      return strings;
    }
    if (type === "array") return await this.#nested(key, depth);
    const bytes = SCALAR_BYTES[type];
    const count = await this.count(`values of "${key}"`, bytes);
    const at = await this.#take(count * bytes);
    // Copied: typed arrays need aligned memory of their own.
    const buffer = this.#bytes.slice(at, at + count * bytes).buffer;
    return new ARRAYS[type](buffer);
  }

  async #nested(key: string, depth: number): Promise<GgufArray[]> {
    const count = await this.count(`arrays of "${key}"`, NESTED_BYTES);
    this.#nestedArrays += count;
    if (depth >= MAX_DEPTH || this.#nestedArrays > MAX_NESTED_ARRAYS) {
      throw this.error(
        `"${key}" has ${this.#nestedArrays} arrays in arrays, ${depth} deep; ` +
          `at most ${MAX_NESTED_ARRAYS} and ${MAX_DEPTH - 1} are taken`,
      );
    }
    const arrays: GgufArray[] = [];
    for (let i = 0; i < count; i++) {
      arrays.push(await this.#array(key, depth + 1));
    }
    return arrays;
  }

  #scalar(type: ScalarType, at: number): GgufValue {
    const view = this.#view;
    switch (type) {
      case "uint8":
        return view.getUint8(at);
      case "int8":
        return view.getInt8(at);
      case "bool":
        return view.getUint8(at) !== 0;
      case "uint16":
        return view.getUint16(at, true);
      case "int16":
        return view.getInt16(at, true);
      case "uint32":
        return view.getUint32(at, true);
      case "int32":
        return view.getInt32(at, true);
      case "float32":
        return view.getFloat32(at, true);
      case "float64":
        return view.getFloat64(at, true);
      case "uint64":
        return narrow(view.getBigUint64(at, true));
      case "int64":
        return narrow(view.getBigInt64(at, true));
    }
  }

  /** Moves on by `length` bytes and gives where in the piece they begin. */
  async #take(length: number): Promise<number> {
    if (this.#at + length > this.#bytes.byteLength) await this.#fetch(length);
    const at = this.#at;
    this.#at += length;
    return at;
  }

  async #fetch(length: number): Promise<void> {
    const start = this.position;
    if (length > this.remaining) {
      throw this.error(
        `${length} bytes are needed, the file has ${this.#source.size}; it is truncated`,
      );
    }
    const wanted = Math.min(Math.max(length, PIECE_BYTES), this.remaining);
    this.#bytes = await this.#source.read(start, wanted);
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset);
    this.#start = start;
    this.#at = 0;
  }
}

const ARRAYS = {
  uint8: Uint8Array,
  int8: Int8Array,
  bool: Uint8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  float32: Float32Array,
  float64: Float64Array,
  uint64: BigUint64Array,
  int64: BigInt64Array,
} as const;

function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
