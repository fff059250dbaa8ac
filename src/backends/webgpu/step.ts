// Turns recorded dispatches into commands of one compute pass.
import { numel } from "../../core/shape.ts";
import type { WebGpuContext } from "./context.ts";
import {
  type BoundRange,
  MIN_BINDING_BYTES,
  type Pipeline,
  type Pipelines,
} from "./pipelines.ts";
import type { RecordedDispatch, Recorder } from "./recorder.ts";
import {
  type Binding,
  F32_BYTES,
  type GpuMemory,
  Region,
  StepBuffer,
  type WebGpuTensor,
} from "./tensors.ts";

/**
 * What the same place of an earlier step was encoded as. Steps repeat: a kernel
 * and buffers that are compared are found faster than ones that are looked up.
 */
export interface EncodedDispatch {
  /** The dispatch that it was last compared with, and where results lay then. */
  dispatch: RecordedDispatch;
  placement: number;
  readonly code: string;
  readonly constants: RecordedDispatch["constants"];
  readonly ranges: readonly BoundRange[];
  readonly pipeline: Pipeline;
  readonly group: GPUBindGroup;
}

/**
 * Dispatches of the first submission of a slice, and how many times as many the
 * next one has. The GPU begins while the rest is being encoded, which takes a
 * third of its time in decode.
 */
const FIRST_SUBMISSION = 40;
const GROWTH = 2;

/**
 * Encodes dispatches `first .. end` of a step whose buffers have their memory, and
 * submits all but the last of them. Gives the encoder of those. A GPU that is busy
 * with an earlier step need not begin before they are all encoded.
 */
export function encodeDispatches(
  { gpu, pipelines }: WebGpuContext,
  recorder: Recorder,
  { first, end }: { readonly first: number; readonly end: number },
  isBusy: boolean,
): GPUCommandEncoder {
  let next = first;
  for (
    let count = FIRST_SUBMISSION;
    !isBusy && end - next > GROWTH * count;
    // the last one is no short one
    count *= GROWTH
  ) {
    const encoder = gpu.createCommandEncoder();
    encodePass(pipelines, encoder, recorder, next, next + count);
    gpu.queue.submit([encoder.finish()]);
    next += count;
  }
  const encoder = gpu.createCommandEncoder();
  if (next < end) encodePass(pipelines, encoder, recorder, next, end);
  return encoder;
}

function encodePass(
  pipelines: Pipelines,
  encoder: GPUCommandEncoder,
  { dispatches, encoded, uploads, placement }: Recorder,
  first: number,
  end: number,
): void {
  const pass = encoder.beginComputePass();
  let bound: Pipeline | undefined;
  for (let i = first; i < end; i++) {
    const dispatch = dispatches[i]!;
    let known = encoded[i];
    if (known?.dispatch !== dispatch || known.placement !== placement) {
      if (!known || !isSame(known, dispatch, uploads.memory)) {
        known = encode(pipelines, dispatch, uploads.memory, placement);
        encoded[i] = known;
      }
      known.dispatch = dispatch;
      known.placement = placement;
    }
    if (known.pipeline !== bound) pass.setPipeline(known.pipeline.pipeline);
    bound = known.pipeline;
    pass.setBindGroup(0, known.group);
    const [x, y, z] = dispatch.workgroups;
    pass.dispatchWorkgroups(x, y, z);
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
    const { memory, offset: from } = rangeOf(x, uploads.memory);
    encoder.copyBufferToBuffer(memory.buffer, from, target, offset, size);
    offset += size;
  }
}

function encode(
  pipelines: Pipelines,
  dispatch: RecordedDispatch,
  uploads: GpuMemory | undefined,
  placement: number,
): EncodedDispatch {
  const { label, code, constants, reads, writes, paramsBuffer } = dispatch;
  const pipeline = pipelines.pipeline(code, constants ?? {}, {
    reads: reads.length,
    writes: writes.length,
    paramBytes: paramsBuffer?.bytes ?? 0,
  }, label);
  const ranges = [...reads, ...writes, ...(paramsBuffer ? [paramsBuffer] : [])]
    .map((x) => rangeOf(x, uploads));
  const group = pipelines.bindGroup(pipeline, ranges);
  return { dispatch, placement, code, constants, ranges, pipeline, group };
}

function isSame(
  { code, constants, ranges }: EncodedDispatch,
  dispatch: RecordedDispatch,
  uploads: GpuMemory | undefined,
): boolean {
  const { reads, writes, paramsBuffer } = dispatch;
  if (code !== dispatch.code) return false;
  if (!haveSameValues(constants, dispatch.constants)) return false;
  let i = 0;
  for (const x of reads) {
    if (!isRange(ranges[i++]!, x, uploads)) return false;
  }
  for (const x of writes) {
    if (!isRange(ranges[i++]!, x, uploads)) return false;
  }
  return !paramsBuffer || isRange(ranges[i]!, paramsBuffer, uploads);
}

function haveSameValues(
  a: RecordedDispatch["constants"],
  b: RecordedDispatch["constants"],
): boolean {
  if (a === b) return true;
  if (!a || !b) return false;
  for (const name in a) if (a[name] !== b[name]) return false;
  return true; // one code has the same names each time
}

/** Whether a binding lies there: `rangeOf` without a new object. */
function isRange(
  { memory, offset, size }: BoundRange,
  x: Binding,
  uploads: GpuMemory | undefined,
): boolean {
  if (x instanceof Region) {
    return x.memory === memory && x.offset === offset &&
      Math.max(MIN_BINDING_BYTES, x.bytes) === size;
  }
  const isBuffer = x instanceof StepBuffer;
  const buffer = isBuffer ? x : x.buffer;
  const bytes = isBuffer ? x.bytes : numel(x.shape) * F32_BYTES;
  return (buffer.first < 0 ? uploads : buffer.memory) === memory &&
    buffer.offset + (isBuffer ? 0 : x.offset) === offset &&
    Math.max(MIN_BINDING_BYTES, bytes) === size;
}

/** Where a binding lies. */
function rangeOf(x: Binding, uploads: GpuMemory | undefined): BoundRange {
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
