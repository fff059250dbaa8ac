// Reference data: what Transformers computes with the tiny checkpoint
// (tests/reference/README.md), and safetensors files as plain arrays.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { decodeToFloat32 } from "../src/core/dtype.ts";
import { type HostTensor, hostTensor } from "../src/core/tensor.ts";
import { bytesSource } from "../src/io/byte_source.ts";
import {
  readSafetensorsHeader,
  type SafetensorsTensor,
} from "../src/io/safetensors.ts";

/** Local path of a file below tests/reference, e.g. `tiny/config.json`. */
export function referencePath(name: string): string {
  return fileURLToPath(new URL(`./reference/${name}`, import.meta.url));
}

/** Text of a file below tests/reference. */
export function referenceText(name: string): Promise<string> {
  return readFile(referencePath(name), "utf8");
}

/** Bytes of a file below tests/reference. */
export async function referenceBytes(name: string): Promise<Uint8Array> {
  const bytes = await readFile(referencePath(name));
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A case of expected.json. */
export interface GoldenCase {
  readonly name: string;
  /** New tokens per sequence, at most. */
  readonly newTokens: number;
  /** Decoded continuations, one per sequence. */
  readonly generated: readonly string[];
  /** Smallest gap between best and second logit along the continuations. */
  readonly minMargin: number;
  /** The prompt as the chat template renders it; absent where none was used. */
  readonly prompt: string | undefined;
}

let expectedJson: Promise<Record<string, unknown>> | undefined;

/** The whole of expected.json as parsed. */
export function expected(): Promise<Record<string, unknown>> {
  expectedJson ??= referenceText("expected/expected.json").then((text) =>
    JSON.parse(text)
  );
  return expectedJson;
}

/** Every case of expected.json, in its order. */
export async function cases(): Promise<GoldenCase[]> {
  return ((await expected()).cases as RawCase[]).map((raw) => ({
    name: raw.name,
    newTokens: raw.new_tokens,
    generated: raw.generated,
    minMargin: raw.min_margin,
    prompt: raw.prompt,
  }));
}

interface RawCase {
  name: string;
  new_tokens: number;
  generated: string[];
  min_margin: number;
  prompt?: string;
}

/** Tensors of one safetensors file, decoded when asked for and then kept. */
export interface GoldenFile {
  readonly names: readonly string[];
  has(name: string): boolean;
  /** F32, F16 and BF16 become float32, I64 and I32 int32, BOOL and U8 uint8. */
  get(name: string): HostTensor;
  /** {@link GoldenFile.get}, checked to be float32. */
  float32(name: string): HostTensor<"float32">;
  /** {@link GoldenFile.get}, checked to be int32. */
  int32(name: string): HostTensor<"int32">;
  /** {@link GoldenFile.get}, checked to be uint8. */
  uint8(name: string): HostTensor<"uint8">;
}

const opened = new Map<string, Promise<GoldenFile>>();

/** Opens a safetensors file below tests/reference; once per file. */
export function golden(
  name = "expected/expected.safetensors",
): Promise<GoldenFile> {
  let file = opened.get(name);
  if (file === undefined) {
    file = referenceBytes(name).then((bytes) => readGolden(name, bytes));
    opened.set(name, file);
  }
  return file;
}

/** Reads safetensors bytes into host tensors. */
export async function readGolden(
  name: string,
  bytes: Uint8Array,
): Promise<GoldenFile> {
  const { tensors } = await readSafetensorsHeader(bytesSource(name, bytes));
  const decoded = new Map<string, HostTensor>();
  const get = (tensor: string): HostTensor => {
    const entry = tensors.get(tensor);
    if (entry === undefined) {
      throw new Error(`No tensor "${tensor}" in ${name}`);
    }
    const known = decoded.get(tensor) ?? decode(entry, bytes);
    decoded.set(tensor, known);
    return known;
  };
  const typed = <T extends HostTensor["dtype"]>(tensor: string, dtype: T) => {
    const found = get(tensor);
    if (found.dtype !== dtype) {
      throw new Error(`"${tensor}" is ${found.dtype}, not ${dtype}`);
    }
    return found as HostTensor<T>;
  };
  return {
    names: [...tensors.keys()],
    has: (tensor) => tensors.has(tensor),
    get,
    float32: (tensor) => typed(tensor, "float32"),
    int32: (tensor) => typed(tensor, "int32"),
    uint8: (tensor) => typed(tensor, "uint8"),
  };
}

function decode(entry: SafetensorsTensor, file: Uint8Array): HostTensor {
  const { dtype, shape, offset, byteLength } = entry;
  const bytes = file.slice(offset, offset + byteLength); // aligned copy
  switch (dtype) {
    case "F32":
      return hostTensor("float32", shape, decodeToFloat32(bytes, "f32"));
    case "F16":
      return hostTensor("float32", shape, decodeToFloat32(bytes, "f16"));
    case "BF16":
      return hostTensor("float32", shape, decodeToFloat32(bytes, "bf16"));
    case "I64":
      return hostTensor(
        "int32",
        shape,
        Int32Array.from(new BigInt64Array(bytes.buffer), Number),
      );
    case "I32":
      return hostTensor("int32", shape, new Int32Array(bytes.buffer));
    case "BOOL":
    case "U8":
      return hostTensor("uint8", shape, bytes);
    default:
      throw new Error(`Cannot decode ${dtype}`);
  }
}
