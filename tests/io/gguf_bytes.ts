// GGUF files written byte by byte, also wrong ones.
import {
  GGML_TYPES,
  VALUE_TYPES,
  type ValueType,
} from "../../src/io/gguf_types.ts";

/** Little-endian numbers and strings, one after another. */
export class GgufBytes {
  readonly #parts: number[] = [];

  get length(): number {
    return this.#parts.length;
  }

  raw(...bytes: number[]): this {
    this.#parts.push(...bytes);
    return this;
  }

  uint32(value: number): this {
    return this.#number(4, (view) => view.setUint32(0, value, true));
  }

  uint64(value: bigint | number): this {
    return this.#number(8, (view) => view.setBigUint64(0, BigInt(value), true));
  }

  string(text: string): this {
    const bytes = new TextEncoder().encode(text);
    return this.uint64(bytes.length).raw(...bytes);
  }

  /** Magic, version and counts. */
  start(tensors: number, keys: number, version = 3): this {
    return this.raw(...new TextEncoder().encode("GGUF")).uint32(version)
      .uint64(tensors).uint64(keys);
  }

  /** A key and the type of its value. */
  key(name: string, type: ValueType): this {
    return this.string(name).uint32(VALUE_TYPES[type]);
  }

  /** A tensor's entry; `dims` innermost first. */
  tensor(
    name: string,
    dims: (number | bigint)[],
    type: number,
    offset: number,
  ): this {
    this.string(name).uint32(dims.length);
    for (const size of dims) this.uint64(size);
    return this.uint32(type).uint64(offset);
  }

  /** Zeros up to the next multiple. */
  pad(alignment: number): this {
    while (this.length % alignment !== 0) this.raw(0);
    return this;
  }

  bytes(): Uint8Array {
    return Uint8Array.from(this.#parts);
  }

  #number(length: number, set: (view: DataView) => void): this {
    const bytes = new Uint8Array(length);
    set(new DataView(bytes.buffer));
    return this.raw(...bytes);
  }
}

/** Number of a tensor type by ggml's name. */
export function typeNumber(name: string): number {
  for (const [number, type] of GGML_TYPES) {
    if (type.name === name) return number;
  }
  throw new Error(`No type "${name}"`);
}
