// A WeightLoader over a checkpoint and a device: declares, then streams.
import {
  type CheckpointDtype,
  FORMAT_BLOCKS,
  isBlockDtype,
  type WeightFormat,
} from "../core/dtype.ts";
import { CheckpointError } from "../core/errors.ts";
import { formatShape, sameShape, type Shape } from "../core/shape.ts";
import { BlockBuffers } from "../io/block_buffers.ts";
import type { Checkpoint, RowBlock } from "../io/checkpoint.ts";
import { decodeRows } from "../quant/blocks.ts";
import type { Device, WeightKind, WeightRows, WeightSpec } from "./device.ts";
import type { Weight } from "./ops.ts";
import type { WeightLoader, WeightOptions } from "./weight_loader.ts";

/** How far a load has come. */
export interface LoadProgress {
  /** Bytes read so far. */
  readonly loadedBytes: number;
  /** Bytes to read. */
  readonly totalBytes: number;
  /** Tensors read completely. */
  readonly loadedTensors: number;
  /** Tensors to read. */
  readonly totalTensors: number;
  /** The tensor whose bytes came last. */
  readonly tensor: string;
}

/** Options of {@link CheckpointWeights.load}. */
export interface LoadOptions {
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Blocks of a GGUF file are decoded on the way, to up to eight times their size. */
const BLOCK_READ_BYTES = 2 * 1024 * 1024;

/** Decides the format of a weight, which is stored as `stored`. */
export type ChooseFormat = (
  spec: WeightSpec,
  stored: CheckpointDtype,
) => WeightFormat;

interface Declared {
  readonly name: string;
  readonly weight: Weight;
  readonly format: WeightFormat;
  readonly bytes: number;
  readonly map: WeightOptions["map"];
}

/** Part of a declared weight on its way. */
interface DeclaredBlock {
  readonly declared: Declared;
  readonly index: number;
  readonly block: RowBlock;
}

/** Weights declared on a device, to be filled from a checkpoint. */
export class CheckpointWeights implements WeightLoader {
  readonly #device: Device;
  readonly #checkpoint: Checkpoint;
  readonly #chooseFormat: ChooseFormat;
  readonly #prefix: string;
  /** Shared by all scopes. */
  readonly #declared: Declared[];

  /** A loader of tensors whose names begin with `prefix`. */
  constructor(
    device: Device,
    checkpoint: Checkpoint,
    chooseFormat: ChooseFormat,
    prefix = "",
    declared: Declared[] = [],
  ) {
    this.#device = device;
    this.#checkpoint = checkpoint;
    this.#chooseFormat = chooseFormat;
    this.#prefix = prefix;
    this.#declared = declared;
  }

  /** A loader whose names have `prefix` in front; `load()` on any fills all. */
  scope(prefix: string): CheckpointWeights {
    return new CheckpointWeights(
      this.#device,
      this.#checkpoint,
      this.#chooseFormat,
      this.#prefix + prefix,
      this.#declared,
    );
  }

  /** Declares a weight, see {@link WeightLoader.weight}. */
  weight(
    kind: WeightKind,
    name: string,
    shape: Shape,
    options: WeightOptions = {},
  ): Weight {
    const full = this.#prefix + name;
    const stored = checkedTensor(this.#checkpoint, full, shape);
    const { rows, rowBytes, dtype } = stored;
    const spec = { name: full, shape, kind };
    const format = this.#chooseFormat(spec, dtype);
    const { sparseInput, sparseOutput, optional } = options;
    const weight = this.#device.declareWeight({
      ...spec,
      format,
      sparseInput,
      sparseOutput,
      optional,
    });
    this.#declared.push({
      name: full,
      weight,
      format,
      bytes: rows * rowBytes,
      map: options.map,
    });
    return weight;
  }

  /** Streams all declared weights to the device, in blocks of rows. */
  async load(options: LoadOptions = {}): Promise<void> {
    const wanted = this.#declared.filter(({ weight }) => !weight.leftOut);
    const totalBytes = wanted.reduce((sum, d) => sum + d.bytes, 0);
    const totalTensors = wanted.length;
    let loadedBytes = 0;
    for await (
      const { declared, index, block } of ahead(this.#blocks(wanted))
    ) {
      options.signal?.throwIfAborted();
      const { name, weight, format, map } = declared;
      loadedBytes += block.bytes.byteLength;
      await this.#device.writeWeight(weight, weightRows(block, format, map));
      const { rows } = this.#checkpoint.get(name);
      const isLast = block.firstRow + block.rows === rows;
      options.onProgress?.({
        loadedBytes,
        totalBytes,
        loadedTensors: isLast ? index + 1 : index,
        totalTensors,
        tensor: name,
      });
    }
  }

  async *#blocks(
    wanted: readonly Declared[],
  ): AsyncGenerator<DeclaredBlock> {
    const buffers = new BlockBuffers();
    for (const [index, declared] of wanted.entries()) {
      const { dtype } = this.#checkpoint.get(declared.name);
      const bytes = isBlockDtype(dtype) ? BLOCK_READ_BYTES : undefined;
      const blocks = this.#checkpoint.rowBlocks(declared.name, bytes, buffers);
      for await (const block of blocks) yield { declared, index, block };
    }
  }

  /** Names declared so far. */
  names(): string[] {
    return this.#declared.map((d) => d.name);
  }
}

/**
 * Looks a tensor up and checks its shape.
 *
 * @throws {CheckpointError} When it is missing or has another shape.
 */
export function checkedTensor(
  checkpoint: Checkpoint,
  name: string,
  shape: Shape,
): ReturnType<Checkpoint["get"]> {
  const tensor = checkpoint.get(name);
  if (!sameShape(tensor.shape, shape)) {
    throw new CheckpointError(
      `Cannot load tensor "${name}": config.json implies shape ${
        formatShape(shape)
      }, "${tensor.file}" has ${formatShape(tensor.shape)}`,
      { tensor: name, file: tensor.file },
    );
  }
  return tensor;
}

/** A block as devices take it. */
function weightRows(
  block: RowBlock,
  format: WeightFormat,
  map: WeightOptions["map"],
): WeightRows {
  const { dtype } = block;
  const asStored = !isBlockDtype(dtype) || dtype === FORMAT_BLOCKS[format];
  if (map === undefined && asStored) return { ...block, dtype };
  let values = decodeRows(block.bytes, dtype);
  if (map !== undefined) values = values.map(map);
  return { ...block, dtype: "f32", bytes: new Uint8Array(values.buffer) };
}

/** Asks for the next item while one is used. */
async function* ahead<T>(items: AsyncGenerator<T>): AsyncGenerator<T> {
  const ask = () => {
    const item = items.next();
    item.catch(() => undefined); // told when it is waited for
    return item;
  };
  let next = ask();
  try {
    for (;;) {
      const item = await next;
      if (item.done) return;
      next = ask();
      yield item.value;
    }
  } finally {
    // A read under way must end before its file is closed, and tells nobody.
    await next.catch(() => undefined);
    await items.return(undefined);
  }
}
