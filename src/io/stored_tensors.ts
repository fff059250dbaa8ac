// Tensors at known places of opened files, as a checkpoint.
import {
  type CheckpointDtype,
  isBlockDtype,
  rowsOfWholeBlocks,
} from "../core/dtype.ts";
import { CheckpointError, UnsupportedError } from "../core/errors.ts";
import { numel, type Shape } from "../core/shape.ts";
import { BlockBuffers } from "./block_buffers.ts";
import type { ByteSource } from "./byte_source.ts";
import type { Checkpoint, CheckpointTensor } from "./checkpoint.ts";

const BLOCK_BYTES = 16 * 1024 * 1024;

/** Where a tensor is. */
export interface StoredTensor {
  readonly shape: Shape;
  /** `undefined` where the elements cannot be used as weights. */
  readonly dtype: CheckpointDtype | undefined;
  /** The type as the file spells it, for messages. */
  readonly storedAs: string;
  /** Name of the file that holds it. */
  readonly file: string;
  readonly source: ByteSource;
  /** Where its data begins in the file. */
  readonly offset: number;
  readonly byteLength: number;
}

/**
 * The tensors as a {@link Checkpoint}, which closes `sources` when it is
 * disposed.
 */
export function storedTensors(
  description: string,
  tensors: ReadonlyMap<string, StoredTensor>,
  sources: readonly ByteSource[],
): Checkpoint {
  const find = (name: string): StoredTensor => {
    const found = tensors.get(name);
    if (found === undefined) {
      throw new CheckpointError(
        `Cannot find tensor "${name}" in the checkpoint of ${description}`,
        { tensor: name },
      );
    }
    return found;
  };
  const get = (name: string) => describeTensor(name, find(name));
  const readRows: Checkpoint["readRows"] = async (
    name,
    firstRow,
    rows,
    into,
  ) => {
    const tensor = get(name);
    checkRows(tensor, firstRow, rows);
    const { source, offset } = find(name);
    const { rowBytes } = tensor;
    return await source.read(
      offset + firstRow * rowBytes,
      rows * rowBytes,
      into,
    );
  };
  return {
    names: () => [...tensors.keys()],
    has: (name) => tensors.has(name),
    get,
    readRows,
    async *rowBlocks(
      name,
      maxBytes = BLOCK_BYTES,
      buffers = new BlockBuffers(),
    ) {
      const { rows, rowBytes, dtype } = get(name);
      if (rowBytes === 0) return;
      const unit = wholeRows(get(name));
      const step = Math.max(1, Math.floor(maxBytes / rowBytes / unit)) * unit;
      for (let firstRow = 0; firstRow < rows; firstRow += step) {
        const count = Math.min(step, rows - firstRow);
        const buffer = buffers.take(count * rowBytes);
        const bytes = await readRows(name, firstRow, count, buffer);
        yield { firstRow, rows: count, dtype, bytes };
      }
    },
    [Symbol.asyncDispose]: () => closeAll(sources),
  };
}

function describeTensor(name: string, found: StoredTensor): CheckpointTensor {
  const { dtype, shape, file, byteLength, storedAs } = found;
  // Blocks run along rows, so that a vector of blocks has no rows of its own.
  if (dtype === undefined || (isBlockDtype(dtype) && shape.length < 2)) {
    throw new UnsupportedError(
      `Cannot use tensor "${name}" of "${file}" as a weight: its elements are ${storedAs}; ` +
        "F32, F16 and BF16 are supported, and in matrices of GGUF files Q8_0, Q4_0, Q4_K, Q5_K and Q6_K",
    );
  }
  const rows = shape[0] ?? 1;
  const rowBytes = rows === 0 ? 0 : byteLength / rows;
  return { name, dtype, shape, file, rows, rowBytes };
}

/** Rows that are read together: in odd-sized ones a block goes over their ends. */
function wholeRows({ dtype, shape }: CheckpointTensor): number {
  return rowsOfWholeBlocks(dtype, numel(shape.slice(1)));
}

function checkRows(
  tensor: CheckpointTensor,
  firstRow: number,
  rows: number,
): void {
  const unit = wholeRows(tensor);
  if (firstRow % unit !== 0 || rows % unit !== 0) {
    throw new CheckpointError(
      `Cannot read rows ${firstRow} to ${
        firstRow + rows
      } of tensor "${tensor.name}": its blocks hold ${unit} rows each; read whole blocks`,
      { tensor: tensor.name, file: tensor.file },
    );
  }
  if (firstRow < 0 || rows < 0 || firstRow + rows > tensor.rows) {
    throw new CheckpointError(
      `Cannot read rows ${firstRow} to ${
        firstRow + rows
      } of tensor "${tensor.name}": it has ${tensor.rows}`,
      { tensor: tensor.name, file: tensor.file },
    );
  }
}

/** Closes files. */
export async function closeAll(sources: readonly ByteSource[]): Promise<void> {
  await Promise.all(sources.map((source) => source.close()));
}
