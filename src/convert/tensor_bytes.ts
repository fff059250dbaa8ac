// Bytes of a tensor as a file holds them, in blocks of rows of the checkpoint.
import { type CheckpointDtype, rowsOfWholeBlocks } from "../core/dtype.ts";
import { numel } from "../core/shape.ts";
import type { Checkpoint } from "../io/checkpoint.ts";
import { ggufTensorBytes, paddingAfter } from "../io/gguf_header_writer.ts";
import { decodeRows } from "../quant/blocks.ts";
import { encodeValues } from "./encode_values.ts";
import type { PlannedTensor, TensorPart } from "./gguf_plan.ts";

/** Read at a time; in float32 up to eight times as much. */
const READ_BYTES = 1024 * 1024;

/** All bytes of a tensor, the padding behind it included. */
export async function* tensorBytes(
  checkpoint: Checkpoint,
  tensor: PlannedTensor,
): AsyncGenerator<Uint8Array> {
  for (const part of tensor.parts) {
    yield* partBytes(checkpoint, part, tensor.dtype);
  }
  const padding = paddingAfter(ggufTensorBytes(tensor));
  if (padding > 0) yield new Uint8Array(padding);
}

async function* partBytes(
  checkpoint: Checkpoint,
  part: TensorPart,
  dtype: CheckpointDtype,
): AsyncGenerator<Uint8Array> {
  if (part.kind === "zeros") {
    yield encodeValues(new Float32Array(part.values), dtype, "zeros");
    return;
  }
  const { name } = part;
  if (part.kind === "firstRow") {
    const stored = checkpoint.get(name).dtype;
    const row = await checkpoint.readRows(name, 0, 1);
    const bytes = converted(row, stored, dtype, name);
    for (let i = 0; i < part.count; i++) yield bytes;
    return;
  }
  const { shape, rowBytes } = checkpoint.get(name);
  const unit = rowBytes * rowsOfWholeBlocks(dtype, numel(shape.slice(1)));
  const readBytes = Math.max(1, Math.floor(READ_BYTES / unit)) * unit;
  for await (const block of checkpoint.rowBlocks(name, readBytes)) {
    yield converted(block.bytes, block.dtype, dtype, name);
  }
}

// What is in the wanted format already stays as it is, bit by bit.
function converted(
  bytes: Uint8Array,
  from: CheckpointDtype,
  to: CheckpointDtype,
  name: string,
): Uint8Array {
  return from === to ? bytes : encodeValues(decodeRows(bytes, from), to, name);
}
