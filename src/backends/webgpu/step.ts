// Turns a recorded step into a command buffer of one compute pass.
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

/** What a step gives back. */
export interface StepResults {
  readonly kept: readonly WebGpuTensor[];
  /** Where to copy them, one after another. */
  readonly target: GPUBuffer;
}

/** Submits what was recorded, whose buffers have their memory. */
export function encodeStep(
  context: WebGpuContext,
  { dispatches, uploads }: Recorder,
  { kept, target }: StepResults,
): void {
  const { gpu } = context;
  if (uploads.bytes > 0) {
    gpu.queue.writeBuffer(uploads.memory!.buffer, 0, uploads.contents);
  }
  const encoder = gpu.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (const dispatch of dispatches) {
    encodeDispatch(context, pass, dispatch, uploads.memory);
  }
  pass.end();
  let offset = 0;
  for (const x of kept) {
    const size = numel(x.shape) * F32_BYTES;
    const from = range(x, uploads.memory);
    if (size > 0) {
      const { buffer } = from.memory;
      encoder.copyBufferToBuffer(buffer, from.offset, target, offset, size);
    }
    offset += size;
  }
  gpu.queue.submit([encoder.finish()]);
}

function encodeDispatch(
  { pipelines }: WebGpuContext,
  pass: GPUComputePassEncoder,
  { code, constants, reads, writes, paramsBuffer, workgroups }:
    RecordedDispatch,
  uploads: Recorder["uploads"]["memory"],
): void {
  const pipeline = pipelines.pipeline(code, constants ?? {}, {
    reads: reads.length,
    writes: writes.length,
    params: paramsBuffer !== undefined,
  });
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
