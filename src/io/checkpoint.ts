// One view over a checkpoint: a single safetensors file, shards named by
// model.safetensors.index.json, or a GGUF file. Data is read in blocks of rows,
// a row being one slice along a tensor's first dimension.
import type { CheckpointDtype, StorageDtype } from "../core/dtype.ts";
import { CheckpointError } from "../core/errors.ts";
import type { Shape } from "../core/shape.ts";
import type { BlockBuffers } from "./block_buffers.ts";
import type { ByteSource } from "./byte_source.ts";
import { openGgufCheckpoint } from "./gguf_checkpoint.ts";
import type { ModelFiles } from "./model_files.ts";
import {
  readSafetensorsHeader,
  type SafetensorsHeader,
} from "./safetensors.ts";
import { INDEX_NAME, readShardIndex } from "./shard_index.ts";
import {
  closeAll,
  type StoredTensor,
  storedTensors,
} from "./stored_tensors.ts";

/** A tensor of a checkpoint. */
export interface CheckpointTensor {
  readonly name: string;
  readonly dtype: CheckpointDtype;
  readonly shape: Shape;
  /** Name of the file that holds it. */
  readonly file: string;
  /** Slices along the first dimension; 1 for a scalar. */
  readonly rows: number;
  /** Bytes of one slice. */
  readonly rowBytes: number;
}

/** Consecutive rows of a tensor, as stored. */
export interface RowBlock {
  readonly firstRow: number;
  readonly rows: number;
  readonly dtype: CheckpointDtype;
  /** Little-endian; valid until the next block is asked for. */
  readonly bytes: Uint8Array;
}

/** The tensors of a model, read from one or many files. */
export interface Checkpoint extends AsyncDisposable {
  /** Names of all tensors. */
  names(): readonly string[];
  /** Whether there is a tensor of that name. */
  has(name: string): boolean;
  /**
   * What is known of a tensor.
   *
   * @throws {CheckpointError} When there is none.
   * @throws {UnsupportedError} When its elements are of another type than
   * {@link CheckpointDtype}.
   */
  get(name: string): CheckpointTensor;
  /**
   * Reads rows as stored, little-endian, into the start of `into` (which may
   * lie in shared memory) or into a new array.
   *
   * @throws {CheckpointError} When the tensor has no such rows.
   */
  readRows(
    name: string,
    firstRow: number,
    rows: number,
    into?: Uint8Array,
  ): Promise<Uint8Array>;
  /**
   * The whole tensor in blocks of at most `maxBytes` (default 16 MiB), or of
   * one row where a row is larger. Blocks have two buffers by turns, of their
   * own unless given: one is good while the next is read, no longer.
   */
  rowBlocks(
    name: string,
    maxBytes?: number,
    buffers?: BlockBuffers,
  ): AsyncGenerator<RowBlock>;
}

/** Name of an unsharded checkpoint. */
const SINGLE_NAME = "model.safetensors";
const STORAGE: Readonly<Record<string, StorageDtype>> = {
  F32: "f32",
  F16: "f16",
  BF16: "bf16",
};

/**
 * Opens the checkpoint of a model and reads its headers. Dispose it to close
 * its files.
 *
 * @throws {CheckpointError} When a file is missing, truncated or damaged, or
 * lacks a tensor that the index places in it.
 * @throws {HubError} When the network fails.
 */
export async function openCheckpoint(files: ModelFiles): Promise<Checkpoint> {
  if (files.gguf !== undefined) {
    return await openGgufCheckpoint(files, files.gguf);
  }
  const sources: ByteSource[] = [];
  const open = async (file: string) => {
    const source = await files.open(file);
    if (source !== undefined) sources.push(source);
    return source;
  };
  try {
    const single = await open(SINGLE_NAME);
    const tensors = single === undefined
      ? await locateSharded(files, open)
      : locate(SINGLE_NAME, single, await readSafetensorsHeader(single));
    return storedTensors(files.describe(), tensors, sources);
  } catch (error) {
    await closeAll(sources);
    throw error;
  }
}

function locate(
  file: string,
  source: ByteSource,
  header: SafetensorsHeader,
): Map<string, StoredTensor> {
  return new Map(
    [...header.tensors].map((
      [name, tensor],
    ) => [name, {
      ...tensor,
      file,
      source,
      dtype: STORAGE[tensor.dtype],
      storedAs: tensor.dtype,
    }]),
  );
}

async function locateSharded(
  files: ModelFiles,
  open: (file: string) => Promise<ByteSource | undefined>,
): Promise<Map<string, StoredTensor>> {
  const text = await files.readText(INDEX_NAME);
  if (text === undefined) {
    throw new CheckpointError(
      `Cannot find the weights of ${files.describe()}: it has neither "${SINGLE_NAME}" nor "${INDEX_NAME}"`,
      { file: SINGLE_NAME },
    );
  }
  const index = readShardIndex(text);
  const tensors = new Map<string, StoredTensor>();
  for (const [file, names] of index.shards) {
    const source = await open(file);
    if (source === undefined) {
      throw new CheckpointError(
        `Cannot find "${file}" in ${files.describe()}: "${INDEX_NAME}" places tensor "${
          names[0]
        }" in it; fetch it`,
        { file, tensor: names[0]! },
      );
    }
    const shard = locate(file, source, await readSafetensorsHeader(source));
    for (const name of names) {
      const tensor = shard.get(name);
      if (tensor === undefined) {
        throw new CheckpointError(
          `Cannot find tensor "${name}" in "${file}": "${INDEX_NAME}" places it there; fetch both files again`,
          { tensor: name, file },
        );
      }
      tensors.set(name, tensor);
    }
  }
  checkTotalSize(index.totalSize, tensors);
  return tensors;
}

function checkTotalSize(
  wanted: number | undefined,
  tensors: ReadonlyMap<string, StoredTensor>,
): void {
  if (wanted === undefined) return;
  let found = 0;
  for (const { byteLength } of tensors.values()) found += byteLength;
  if (found !== wanted) {
    throw new CheckpointError(
      `Cannot use "${INDEX_NAME}": it gives a total size of ${wanted} bytes, the tensors it lists have ${found}; ` +
        "fetch all files again",
      { file: INDEX_NAME },
    );
  }
}
