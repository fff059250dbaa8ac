// The step being recorded: dispatches of kernels and the buffers they use.
import { numel, type Shape } from "../../core/shape.ts";
import type { WeightKind } from "../../ops/device.ts";
import {
  requireKvStore,
  requireNoStep,
  requireTensor,
  requireValues,
  requireWeight,
} from "../../ops/handle_checks.ts";
import type { KvStore, Tensor, Weight } from "../../ops/ops.ts";
import { BINDING_ALIGNMENT } from "./flags.ts";
import { copyColumnsWgsl } from "./kernels/copy_columns.ts";
import { ELEMENT_THREADS } from "./kernels/elements.ts";
import type { EncodedDispatch } from "./step.ts";
import {
  type Binding,
  F32_BYTES,
  type PendingWork,
  Region,
  StepBuffer,
  WebGpuKvStore,
  WebGpuTensor,
} from "./tensors.ts";
import { type UploadedPart, Uploads } from "./uploads.ts";
import { WeightGroups } from "./weight_groups.ts";
import { WebGpuWeight } from "./weights.ts";

/** Use of a buffer that is read back: after the last dispatch. */
const KEPT = Infinity;

/** Of tensors without memory. */
const NO_BUFFER = new StepBuffer(0, -1);

/** Workgroups in each dimension that every GPU can start. */
const MAX_WORKGROUPS = 65535;

/** Numbers of workgroups in x, y and z. */
export type Workgroups = readonly [number, number, number];

/**
 * Workgroups for `count` independent parts. Part
 * `group.y * groups.x + group.x` may lie beyond the last one.
 */
export function grid(count: number): Workgroups {
  const rows = Math.ceil(count / MAX_WORKGROUPS);
  return rows <= 1 ? [count, 1, 1] : [Math.ceil(count / rows), rows, 1];
}

/** Workgroups for a thread each element, see kernels/elements.ts. */
export function elementGrid(count: number): Workgroups {
  return grid(Math.ceil(count / ELEMENT_THREADS));
}

/** A kernel and what it works on. */
export interface Dispatch {
  /** What tools call it; the name of the operation unless given. */
  readonly label?: string;
  /** WGSL whose entry point is `main`; the same string each time. */
  readonly code: string;
  /**
   * Its `override` values. Each combination is compiled once, so they must
   * not vary from step to step: numbers of rows and positions are `params`.
   */
  readonly constants?: Readonly<Record<string, number>>;
  /** Bindings 0 and on, `var<storage, read>`. */
  readonly reads: readonly Binding[];
  /** Bindings after `reads`, `var<storage, read_write>`. None may be among `reads`. */
  readonly writes: readonly Binding[];
  /** Last binding, when given: a `var<uniform>` struct of as many `u32`. */
  readonly params?: readonly number[];
  /** With a 0 nothing is recorded. */
  readonly workgroups: Workgroups;
  /** Multiply-adds, roughly; needed where a workgroup has more than some hundreds. */
  readonly cost?: number;
}

/** A dispatch whose parameters have their place. */
export interface RecordedDispatch extends Dispatch {
  readonly label: string;
  readonly paramsBuffer: StepBuffer | undefined;
}

/**
 * Dispatches in a row that a later step can repeat at the same place: with the
 * same inputs, whose objects are the same where that step is like the one before.
 */
export interface RecordedPart {
  /** Dispatches and results before it. */
  readonly at: number;
  readonly resultsAt: number;
  readonly dispatches: RecordedDispatch[];
  readonly results: readonly StepBuffer[];
  readonly uploads: UploadedPart;
  /** Last uses of its results, and of others' results, by it. */
  readonly uses: readonly (readonly [buffer: StepBuffer, last: number])[];
}

/** Records dispatches and the buffers they use. */
export class Recorder {
  /** Whether the step is recorded for its memory needs alone. */
  planning = false;
  /** Whether a step runs. */
  running = false;
  /** What the weights and stores of this device carry. */
  readonly device: symbol = Symbol("device");
  readonly uploads: Uploads = new Uploads();
  /** Changes when results get other memory than they had in an earlier step. */
  placement = 0;
  /** What earlier steps were encoded as, see step.ts. */
  readonly encoded: EncodedDispatch[] = [];
  /** Weights that operations want in one buffer. */
  readonly groups: WeightGroups = new WeightGroups();
  private step = Symbol("step");
  private op = "";
  private recorded: RecordedDispatch[] = [];
  private results: StepBuffer[] = [];
  /** Results of the step before: a step that is like it has the same objects. */
  private earlier: readonly StepBuffer[] = [];
  /** Tensors whose pending work was recorded, as they are since. */
  private readonly completed = new Map<WebGpuTensor, WebGpuTensor>();
  /** Tensors whose pending work reads a region. */
  private readonly waiting = new Map<Region, readonly WebGpuTensor[]>();
  /** What {@link once} recorded, by what it is and what it was made of. */
  private readonly shared = new Map<string, Map<object, StepBuffer>>();

  /** What was recorded. */
  get dispatches(): readonly RecordedDispatch[] {
    return this.recorded;
  }

  /** Buffers that dispatches write, in the order of the first one. */
  get buffers(): readonly StepBuffer[] {
    return this.results;
  }

  /** Records a dispatch. */
  dispatch(dispatch: Dispatch): void {
    this.requireRecording();
    if (dispatch.workgroups.some((count) => count === 0)) return;
    if (this.waiting.size > 0) this.completeReaders(dispatch.writes);
    const reads = dispatch.reads.map((x) => this.aligned(x));
    const { params } = dispatch;
    const paramsBuffer = params &&
      this.uploads.addParams(dispatch.code, params, this.planning);
    for (const x of reads) this.use(x);
    for (const x of dispatch.writes) this.use(x);
    const label = dispatch.label ?? this.op;
    this.recorded.push({ ...dispatch, label, reads, paramsBuffer });
  }

  /** A tensor that the next dispatches write. */
  output(shape: Shape): WebGpuTensor {
    return this.tensor(this.room(numel(shape) * F32_BYTES), shape);
  }

  /** A buffer from byte `offset` on as a tensor. */
  tensor(buffer: StepBuffer, shape: Shape, offset = 0): WebGpuTensor {
    return new WebGpuTensor(shape, buffer, offset, this.step);
  }

  /** The same memory as a tensor that lacks some work. */
  unfinished(x: WebGpuTensor, pending: PendingWork): WebGpuTensor {
    return new WebGpuTensor(x.shape, x.buffer, x.offset, this.step, pending);
  }

  /** A tensor without memory until its work is recorded. */
  later(shape: Shape, pending: PendingWork): WebGpuTensor {
    this.requireRecording();
    return new WebGpuTensor(shape, NO_BUFFER, 0, this.step, pending);
  }

  /** The same, where the work reads a region: it is recorded before another writes that. */
  laterFrom(region: Region, shape: Shape, pending: PendingWork): WebGpuTensor {
    const x = this.later(shape, pending);
    const waiting = this.waiting.get(region) ?? [];
    this.waiting.set(region, [...waiting, x]);
    return x;
  }

  /** Says what becomes of a tensor's pending work that another one did. */
  completeAs(x: WebGpuTensor, complete: WebGpuTensor): void {
    this.completed.set(x, complete);
  }

  /** Memory that the next dispatches write. */
  room(bytes: number): StepBuffer {
    this.requireRecording();
    const first = this.recorded.length;
    let buffer = this.earlier[this.results.length];
    if (buffer?.bytes === bytes && buffer.first === first) buffer.last = first;
    else buffer = new StepBuffer(bytes, first);
    this.results.push(buffer);
    return buffer;
  }

  /** Calls `record`; gives what it recorded, to be repeated. */
  part(record: () => void): RecordedPart {
    const at = this.recorded.length;
    const resultsAt = this.results.length;
    const uploads = this.uploads.part(record);
    const dispatches = this.recorded.slice(at);
    const results = this.results.slice(resultsAt);
    const buffers = new Set(results);
    for (const { reads } of dispatches) {
      for (const x of reads) {
        const buffer = x instanceof WebGpuTensor ? x.buffer : x;
        if (buffer instanceof StepBuffer) buffers.add(buffer);
      }
    }
    const uses = [...buffers].map((buffer) => [buffer, buffer.last] as const);
    return { at, resultsAt, dispatches, results, uploads, uses };
  }

  /** Whether a part was recorded at the place that the step has reached. */
  canRepeat({ at, resultsAt }: RecordedPart): boolean {
    return !this.planning && at === this.recorded.length &&
      resultsAt === this.results.length;
  }

  /** Whether a part can be repeated with what the host gave to it, at the same place. */
  canRepeatUploads(part: RecordedPart): boolean {
    return this.canRepeat(part) && part.uploads.offset === this.uploads.bytes;
  }

  /** Records a part again, with what the host gave to it. */
  repeatUploads(part: RecordedPart): void {
    this.requireRecording();
    this.uploads.repeat(part.uploads);
    for (const dispatch of part.dispatches) this.recorded.push(dispatch);
    this.repeatResults(part);
  }

  /**
   * Records a part again, with the parameters that `paramsOf` gives its
   * dispatches. It must have no other values of the host.
   */
  repeat(
    part: RecordedPart,
    paramsOf: (dispatch: RecordedDispatch, i: number) => readonly number[],
  ): void {
    this.requireRecording();
    const { dispatches } = part;
    for (let i = 0; i < dispatches.length; i++) {
      const dispatch = dispatches[i]!;
      if (dispatch.paramsBuffer !== undefined) {
        const params = paramsOf(dispatch, i);
        const paramsBuffer = this.uploads.addParams(
          dispatch.code,
          params,
          false,
        );
        if (paramsBuffer !== dispatch.paramsBuffer) {
          dispatches[i] = { ...dispatch, params, paramsBuffer };
        }
      }
      this.recorded.push(dispatches[i]!);
    }
    this.repeatResults(part);
  }

  private repeatResults({ results, uses }: RecordedPart): void {
    for (const buffer of results) {
      buffer.last = buffer.first;
      this.results.push(buffer);
    }
    for (const [buffer, last] of uses) {
      buffer.last = Math.max(buffer.last, last);
    }
  }

  /** Values of the host, copied. */
  values(values: Float32Array | Int32Array | Uint32Array): StepBuffer {
    this.requireRecording();
    return this.uploads.add(values, this.planning);
  }

  /** A tensor with these values, copied. */
  upload(values: Float32Array, shape: Shape): WebGpuTensor {
    requireValues(values, shape);
    return new WebGpuTensor(shape, this.values(values), 0, this.step);
  }

  /** The same memory from `offset` elements on, under another shape. */
  view(x: Tensor, shape: Shape, offset: number): WebGpuTensor {
    const { buffer, offset: start } = this.own(x);
    const bytes = start + offset * F32_BYTES;
    return new WebGpuTensor(shape, buffer, bytes, this.step);
  }

  /** Checks that a tensor is of this step, and records what is pending. */
  own(x: Tensor): WebGpuTensor {
    const own = this.ownPending(x);
    if (own.pending === undefined) return own;
    let complete = this.completed.get(own);
    if (complete === undefined) {
      this.completed.set(own, complete = own.pending.complete());
    }
    return complete;
  }

  /** What `record` made of `source` first: memory `what` that several dispatches read. */
  once(what: string, source: object, record: () => StepBuffer): StepBuffer {
    let all = this.shared.get(what);
    if (all === undefined) this.shared.set(what, all = new Map());
    let known = all.get(source);
    if (known === undefined) all.set(source, known = record());
    return known;
  }

  /** The work that a tensor still lacks. */
  pendingOf(x: Tensor): PendingWork | undefined {
    const own = this.ownPending(x);
    return this.completed.has(own) ? undefined : own.pending;
  }

  /** Checks that a tensor is of this step; what is pending is the caller's. */
  ownPending(x: Tensor): WebGpuTensor {
    return requireTensor(x, WebGpuTensor, this.step);
  }

  /** Checks that a weight is of this device, of the right kind, and filled. */
  ownWeight(op: string, w: Weight, kind: WeightKind): WebGpuWeight {
    const { device, planning: mayBeEmpty } = this;
    return requireWeight(op, w, WebGpuWeight, { device, kind, mayBeEmpty });
  }

  /** Checks that a store is of this device and taken. */
  ownStore(op: string, store: KvStore): WebGpuKvStore {
    return requireKvStore(op, store, WebGpuKvStore, this.device);
  }

  /** Keeps a tensor until the step has run. */
  keep(x: Tensor): WebGpuTensor {
    const own = this.own(x);
    own.buffer.last = KEPT;
    return own;
  }

  /** Calls `record`, which is operation `op`; when it throws, drops what it recorded so far. */
  whole<T>(op: string, record: () => T): T {
    this.op = op;
    const dispatches = this.recorded.length;
    const results = this.results.length;
    const { bytes } = this.uploads;
    try {
      return record();
    } catch (error) {
      this.recorded.length = dispatches;
      this.results.length = results;
      this.uploads.truncate(bytes);
      this.completed.clear();
      this.shared.clear();
      throw error;
    }
  }

  /** Drops what was recorded; its tensors are dead. */
  endStep(): void {
    this.step = Symbol("step");
    this.recorded = [];
    this.earlier = this.results;
    this.results = [];
    this.completed.clear();
    this.waiting.clear();
    this.shared.clear();
    this.uploads.truncate(0);
    this.planning = false;
    this.running = false;
  }

  /**
   * Checks that no step runs.
   *
   * @throws {InputError} When one does.
   */
  requireRecording(): void {
    requireNoStep(this.running);
  }

  /** Records what waits and reads what is to be written. */
  private completeReaders(writes: readonly Binding[]): void {
    for (const x of writes) {
      if (!(x instanceof Region)) continue;
      const waiting = this.waiting.get(x) ?? [];
      this.waiting.delete(x);
      for (const reader of waiting) this.own(reader);
    }
  }

  private use(x: Binding): void {
    const buffer = x instanceof WebGpuTensor ? x.buffer : x;
    if (!(buffer instanceof StepBuffer)) return;
    buffer.last = Math.max(buffer.last, this.recorded.length);
  }

  /** Copies a view that starts where no kernel can bind it. */
  private aligned(x: Binding): Binding {
    if (!(x instanceof WebGpuTensor)) return x;
    const excess = x.offset % BINDING_ALIGNMENT;
    if (excess === 0) return x;
    const size = numel(x.shape);
    const first = excess / F32_BYTES;
    const from = this.view(x, [first + size], -first);
    const out = this.output(x.shape);
    this.dispatch({
      code: copyColumnsWgsl,
      reads: [from],
      writes: [out],
      params: [1, size, first, 0, 0, 0],
      workgroups: elementGrid(size),
    });
    return out;
  }
}
