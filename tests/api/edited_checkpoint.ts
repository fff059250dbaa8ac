// Checkpoints of tests/reference with changes, as objects that open files.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

import { bytesSource } from "../../src/io/byte_source.ts";
import {
  readSafetensorsHeader,
  type SafetensorsDtype,
} from "../../src/io/safetensors.ts";
import type { FileOpener } from "../../src/hub/opened_files.ts";
import { referencePath } from "../golden.ts";
import { safetensorsBytes } from "../io/files.ts";

/** A tensor of a safetensors file. */
export interface StoredTensor {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Tensors of a file by name. */
export type TensorTable = Map<string, StoredTensor>;

/** Reads all tensors of a safetensors file. */
export async function readTensors(bytes: Uint8Array): Promise<TensorTable> {
  const { tensors } = await readSafetensorsHeader(bytesSource("file", bytes));
  return new Map(
    [...tensors].map(([name, { dtype, shape, offset, byteLength }]) => [
      name,
      { dtype, shape, bytes: bytes.subarray(offset, offset + byteLength) },
    ]),
  );
}

/** A safetensors file of these tensors. */
export function writeTensors(tensors: TensorTable): Uint8Array {
  let offset = 0;
  const entries = [...tensors].map(([name, { dtype, shape, bytes }]) => {
    const begin = offset;
    offset += bytes.length;
    return [name, { dtype, shape, data_offsets: [begin, offset] }] as const;
  });
  const data = new Uint8Array(offset);
  offset = 0;
  for (const { bytes } of tensors.values()) {
    data.set(bytes, offset);
    offset += bytes.length;
  }
  return safetensorsBytes(Object.fromEntries(entries), data);
}

/** How a file is changed; `undefined` takes it away. */
export type FileEdit = (
  bytes: Uint8Array | undefined,
) => Uint8Array | undefined | Promise<Uint8Array | undefined>;

/**
 * The files of one folder below tests/reference, or of several of which the
 * first that has a file gives it, some of them changed.
 */
export function editedCheckpoint(
  folders: readonly string[],
  edits: Readonly<Record<string, FileEdit>> = {},
): FileOpener & { readonly opened: string[] } {
  const opened: string[] = [];
  return {
    opened,
    async open(name) {
      opened.push(name);
      const bytes = await firstFile(folders, name);
      const edit = edits[name];
      return edit ? await edit(bytes) : bytes;
    },
  };
}

async function firstFile(
  folders: readonly string[],
  name: string,
): Promise<Uint8Array | undefined> {
  for (const folder of folders) {
    try {
      return new Uint8Array(
        await readFile(referencePath(`${folder}/${name}`)),
      );
    } catch (error) {
      if ((error as { code?: string }).code !== "ENOENT") throw error;
    }
  }
  return undefined;
}

/** Changes a JSON file. */
export function editJson(
  // deno-lint-ignore no-explicit-any
  edit: (json: any) => unknown,
): FileEdit {
  return (bytes) => {
    assert.ok(bytes, "the file is there");
    const json = JSON.parse(new TextDecoder().decode(bytes));
    const edited = edit(json) ?? json;
    return new TextEncoder().encode(JSON.stringify(edited));
  };
}

/** Changes the tensors of a safetensors file. */
export function editTensors(
  edit: (tensors: TensorTable) => TensorTable | void,
): FileEdit {
  return async (bytes) => {
    assert.ok(bytes, "the file is there");
    const tensors = await readTensors(bytes);
    return writeTensors(edit(tensors) ?? tensors);
  };
}

/** Changes the names of tensors in shards and index. */
export function renamedTensors(
  rename: (name: string) => string,
): Record<string, FileEdit> {
  const tensors = editTensors((table) =>
    new Map([...table].map(([name, tensor]) => [rename(name), tensor]))
  );
  const shards = [1, 2, 3].map((n) =>
    [`model-0000${n}-of-00003.safetensors`, tensors] as const
  );
  return {
    ...Object.fromEntries(shards),
    "model.safetensors": (bytes) => bytes && tensors(bytes),
    "model.safetensors.index.json": (bytes) =>
      bytes && editJson((index) => {
        index.weight_map = Object.fromEntries(
          Object.entries(index.weight_map).map((
            [name, file],
          ) => [rename(name), file]),
        );
      })(bytes),
  };
}
