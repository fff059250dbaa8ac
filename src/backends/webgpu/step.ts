// Turns recorded dispatches into commands of one compute pass.
import { numel } from "../../core/shape.ts";
import type { WebGpuContext } from "./context.ts";
import type { BoundRange } from "./pipelines.ts";
import type { RecordedDispatch, Recorder } from "./recorder.ts";
import {
  type Binding,
  F32_BYTES,
  Region,
  StepBuffer,
  type WebGpuTensor,
} from "./tensors.ts";

/** A binding has at least so many bytes. */
const MIN_BINDING_BYTES = 4;

/** Encodes dispatches `first .. end` of a step whose buffers have their memory. */
export function encodeDispatches(
  context: WebGpuContext,
  encoder: GPUCommandEncoder,
  { dispatches, uploads }: Recorder,
  { first, end }: { readonly first: number; readonly end: number },
): void {
  if (first === end) return;
  const pass = encoder.beginComputePass();
  for (let i = first; i < end; i++) {
    encodeDispatch(context, pass, dispatches[i]!, uploads.memory);
  }
  pass.end();
}

/** Encodes copies of tensors to `target`, one after another. */
export function encodeCopies(
  encoder: GPUCommandEncoder,
  { uploads }: Recorder,
  kept: readonly WebGpuTensor[],
  target: GPUBuffer,
): void {
  let offset = 0;
  for (const x of kept) {
    const size = numel(x.shape) * F32_BYTES;
    if (size === 0) continue;
    const { memory, offset: from } = range(x, uploads.memory);
    encoder.copyBufferToBuffer(memory.buffer, from, target, offset, size);
    offset += size;
  }
}

function encodeDispatch(
  { pipelines }: WebGpuContext,
  pass: GPUComputePassEncoder,
  { label, code, constants, reads, writes, paramsBuffer, workgroups }:
    RecordedDispatch,
  uploads: Recorder["uploads"]["memory"],
): void {
  const pipeline = pipelines.pipeline(code, constants ?? {}, {
    reads: reads.length,
    writes: writes.length,
    params: paramsBuffer !== undefined,
  }, label);
  const ranges = [...reads, ...writes].map((x) => range(x, uploads));
  if (paramsBuffer) ranges.push(range(paramsBuffer, uploads));
  pass.setPipeline(pipeline.pipeline);
  pass.setBindGroup(0, pipelines.bindGroup(pipeline, ranges));
  pass.dispatchWorkgroups(...workgroups);
}

/** Where a binding lies. */
function range(x: Binding, uploads: Recorder["uploads"]["memory"]): BoundRange {
  if (x instanceof Region) {
    const size = Math.max(MIN_BINDING_BYTES, x.bytes);
    return { memory: x.memory!, offset: x.offset, size };
  }
  const buffer = x instanceof StepBuffer ? x : x.buffer;
  const bytes = x instanceof StepBuffer ? x.bytes : numel(x.shape) * F32_BYTES;
  const start = x instanceof StepBuffer ? 0 : x.offset;
  return {
    memory: buffer.first < 0 ? uploads! : buffer.memory!,
    offset: buffer.offset + start,
    size: Math.max(MIN_BINDING_BYTES, bytes),
  };
}
