// The step being recorded: commands and the buffers they use.
import { numel, type Shape } from "../../core/shape.ts";
import type { WeightKind } from "../../ops/device.ts";
import {
  requireKvStore,
  requireNoStep,
  requireTensor,
  requireValues,
  requireWeight,
} from "../../ops/handle_checks.ts";
import type { KvStore, Segment, Tensor, Weight } from "../../ops/ops.ts";
import { align, ArenaPlan } from "./planner.ts";
import { RecordedPart } from "./recorded_part.ts";
import { Recording, WORDS, type Work } from "./recording.ts";
import { KEPT } from "./step_buffers.ts";
import {
  F32_BYTES,
  type StepBuffer,
  WasmKvStore,
  WasmTensor,
  WasmWeight,
} from "./tensors.ts";

export { CHUNK_COST, type Work } from "./recording.ts";

const WORD_BYTES = 4;
/** Bytes of a command. */
export const COMMAND_BYTES: number = WORDS * WORD_BYTES;

/** Where regions of the memory start. */
export interface Bases {
  weights: number;
  kv: number;
}

/** A step whose buffers have their places. */
export interface PlannedStep {
  readonly commands: number;
  readonly commandBytes: number;
  readonly arenaBytes: number;
  /** Work of all commands, in {@link Work.unitCost}s. */
  readonly cost: number;
  /** Writes commands and host values; `commandBase` is aligned, the arena follows. */
  write(memory: ArrayBufferLike, commandBase: number): void;
  /** Address of a tensor of the step. */
  address(x: WasmTensor, commandBase: number): number;
}

/** Records commands and the buffers they use. */
export class Recorder {
  readonly bases: Bases = { weights: 0, kv: 0 };
  /** Whether the step is recorded for its memory needs alone. */
  planning = false;
  /** Workers that compute chunks at the same time. */
  workers = 1;
  /** Whether a step runs. */
  running = false;
  /** What the weights and stores of this device carry. */
  readonly device: symbol = Symbol("device");
  private step = Symbol("step");
  private readonly recording = new Recording();
  private readonly arena = new ArenaPlan();
  /** Results that several operations need of a tensor, by its buffer and what they are. */
  private readonly derived = new Map<StepBuffer, Map<string, StepBuffer>>();
  /** What {@link repeat} recorded, by key. */
  private readonly parts = new WeakMap<object, RecordedPart>();
  /** Stores that the part being recorded uses, while there is one. */
  private partStores: Set<WasmKvStore> | undefined;

  /** Starts a command; its arguments follow by the methods below. */
  begin(op: number, work: Work): this {
    this.requireRecording();
    this.recording.begin(op, work);
    return this;
  }

  /** Argument: sizes, or addresses that are known. */
  sizes(...sizes: readonly number[]): this {
    for (const size of sizes) this.recording.addSize(size);
    return this;
  }

  /** Argument: an f32. */
  number(value: number): this {
    this.recording.addNumber(value);
    return this;
  }

  /**
   * Argument: the position where `segments[index]` begins. No other argument
   * may depend on it; `workAt` gives the work where that does.
   */
  position(
    segments: readonly Segment[],
    index: number,
    workAt?: (segment: Segment) => Work,
  ): this {
    this.recording.addPosition(segments, index, workAt);
    return this;
  }

  /** Argument: a tensor the command reads or writes. */
  tensor(x: WasmTensor): this {
    return this.buffer(x.buffer, x.offset);
  }

  /** Argument: a weight. */
  weight(w: WasmWeight): this {
    return this.sizes(this.bases.weights + w.offset);
  }

  /** Argument: a buffer the command reads or writes. */
  buffer(buffer: StepBuffer, offset = 0): this {
    this.recording.addBuffer(buffer, offset);
    return this;
  }

  /** Argument: memory that a chunk has to itself while it is computed. */
  scratch(bytes: number): this {
    this.recording.addScratch(align(bytes), this.workers);
    return this;
  }

  /** A tensor that the next command writes. */
  output(shape: Shape): WasmTensor {
    const buffer = this.room(numel(shape) * F32_BYTES);
    return new WasmTensor(shape, buffer, 0, this.step);
  }

  /** Memory that the next command writes. */
  room(bytes: number): StepBuffer {
    this.requireRecording();
    const { buffers, commands } = this.recording;
    return buffers.add(bytes, commands);
  }

  /** What `make` records of a tensor, once for each step and name. */
  derive(x: WasmTensor, name: string, make: () => StepBuffer): StepBuffer {
    const key = `${name} at ${x.offset}`;
    const known = this.derived.get(x.buffer) ?? new Map<string, StepBuffer>();
    this.derived.set(x.buffer, known);
    const buffer = known.get(key) ?? make();
    known.set(key, buffer);
    return buffer;
  }

  /** Values of the host, copied. */
  values(values: Float32Array | Int32Array): StepBuffer {
    this.requireRecording();
    const buffer = this.recording.uploads.add(values.byteLength, -1);
    if (!this.planning) buffer.values = values.slice();
    return buffer;
  }

  /** A tensor with these values, copied. */
  upload(values: Float32Array, shape: Shape): WasmTensor {
    requireValues(values, shape);
    return new WasmTensor(shape, this.values(values), 0, this.step);
  }

  /** The same memory from `offset` elements on, under another shape. */
  view(x: Tensor, shape: Shape, offset: number): WasmTensor {
    const { buffer, offset: start } = this.own(x);
    const bytes = start + offset * F32_BYTES;
    return new WasmTensor(shape, buffer, bytes, this.step);
  }

  /** Checks that a tensor is of this step. */
  own(x: Tensor): WasmTensor {
    return requireTensor(x, WasmTensor, this.step);
  }

  /** Checks that a weight is of this device, of the right kind, and filled. */
  ownWeight(op: string, w: Weight, kind: WeightKind): WasmWeight {
    const { device, planning: mayBeEmpty } = this;
    return requireWeight(op, w, WasmWeight, { device, kind, mayBeEmpty });
  }

  /** Checks that a store is of this device and taken. */
  ownStore(op: string, store: KvStore): WasmKvStore {
    const own = requireKvStore(op, store, WasmKvStore, this.device);
    this.partStores?.add(own);
    return own;
  }

  /** What `record` gives, or repeats what it recorded in an earlier step, see `Ops.repeat`. */
  repeat(
    key: object,
    inputs: readonly Tensor[],
    record: () => Tensor,
    segments: readonly Segment[] = [],
  ): Tensor {
    this.requireRecording();
    if (this.planning || this.partStores !== undefined) return record();
    const { recording } = this;
    const context = { inputs: inputs.map((x) => this.own(x)), segments };
    const known = this.parts.get(key);
    if (known?.canRepeat(recording, context)) {
      known.repeat(recording, segments);
      const { shape, buffer, offset } = known.result;
      return new WasmTensor(shape, buffer, offset, this.step);
    }
    const from = recording.mark();
    const stores = this.partStores = new Set<WasmKvStore>();
    try {
      const result = this.own(record());
      const part = new RecordedPart(
        recording,
        from,
        context,
        [...stores],
        result,
      );
      if (part.isWhole(recording)) this.parts.set(key, part);
      return result;
    } finally {
      this.partStores = undefined;
    }
  }

  /** Gives every buffer its place; `kept` stay until the end. */
  plan(kept: readonly WasmTensor[]): PlannedStep {
    const { recording } = this;
    const { commands, words, patches, cost, uploads, buffers } = recording;
    for (const { buffer } of kept) recording.listOf(buffer).use(buffer, KEPT);
    const arenaBytes = this.arena.place(uploads, buffers, commands);
    const commandBytes = align(commands * COMMAND_BYTES);
    return {
      commands,
      commandBytes,
      arenaBytes,
      cost,
      write(memory, commandBase) {
        const arena = commandBase + commandBytes;
        const count = commands * WORDS;
        const queue = new Uint32Array(memory, commandBase, count);
        queue.set(words.subarray(0, count));
        patches.apply(queue, arena, uploads.offsets, buffers.offsets);
        for (const upload of uploads.used) {
          const { buffer, byteOffset, byteLength } = upload.values!;
          const address = arena + uploads.offsetOf(upload);
          new Uint8Array(memory, address, byteLength)
            .set(new Uint8Array(buffer, byteOffset, byteLength));
        }
      },
      address: ({ buffer, offset }, commandBase) =>
        commandBase + commandBytes + offset +
        recording.listOf(buffer).offsetOf(buffer),
    };
  }

  /** Calls `record`; when it throws, drops what it recorded so far. */
  whole<T>(record: () => T): T {
    const mark = this.recording.mark();
    try {
      return record();
    } catch (error) {
      this.derived.clear();
      this.recording.rewind(mark);
      throw error;
    }
  }

  /** Drops what was recorded; its tensors are dead. */
  endStep(): void {
    this.step = Symbol("step");
    this.recording.clear();
    this.derived.clear();
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
}
