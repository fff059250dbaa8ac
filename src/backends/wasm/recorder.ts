// The step being recorded: commands as words, and which of the words are
// addresses that are known only once the step is planned.
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
import { align, planArena } from "./planner.ts";
import {
  F32_BYTES,
  StepBuffer,
  WasmKvStore,
  WasmTensor,
  WasmWeight,
} from "./tensors.ts";

/** Words of a command, as in rust/kernels/src/command.rs. */
const WORDS = 32;
const HEADER_WORDS = 6;
/** Word with the place of the address of scratch, 0 without; its bytes follow. */
const SCRATCH_WORD = 4;
const WORD_BYTES = 4;
/** Bytes of a command. */
export const COMMAND_BYTES: number = WORDS * WORD_BYTES;
/** Work of a chunk where it can be chosen, in {@link Work.unitCost}s. */
export const CHUNK_COST = 15_000;
/** Cost of starting a chunk. */
const CHUNK_OVERHEAD = 100;
/** Use of a buffer that is read back: after the last command. */
const KEPT = Infinity;

/** How the work of a command divides. */
export interface Work {
  /** Parts that may be computed in any order. */
  readonly units: number;
  /** Time of a part, in about a nanosecond. */
  readonly unitCost: number;
  /** Parts computed together; as many as make a good chunk unless given. */
  readonly unitsPerChunk?: number;
}

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
  private commands = 0;
  private words = new Uint32Array(256 * WORDS);
  private numbers = new Float32Array(this.words.buffer);
  private cursor = 0;
  private cost = 0;
  private uploads: StepBuffer[] = [];
  private buffers: StepBuffer[] = [];
  private patchedWords: number[] = [];
  private patchedBuffers: StepBuffer[] = [];
  /** Results that several operations need of a tensor, by its buffer and what they are. */
  private derived = new Map<StepBuffer, Map<string, StepBuffer>>();

  /** Starts a command; its arguments follow by the methods below. */
  begin(op: number, { units, unitCost, unitsPerChunk }: Work): this {
    this.requireRecording();
    const start = this.commands * WORDS;
    if (start === this.words.length) this.grow();
    const perChunk = Math.max(
      1,
      Math.min(units, unitsPerChunk ?? Math.floor(CHUNK_COST / unitCost)),
    );
    this.words[start] = op;
    this.words[start + 1] = units;
    this.words[start + 2] = perChunk;
    this.words[start + 3] = Math.ceil(perChunk * unitCost) + CHUNK_OVERHEAD;
    this.words.fill(0, start + SCRATCH_WORD, start + HEADER_WORDS);
    this.cost += units * unitCost + CHUNK_OVERHEAD;
    this.cursor = start + HEADER_WORDS;
    this.commands++;
    return this;
  }

  /** Argument: sizes, or addresses that are known. */
  sizes(...sizes: readonly number[]): this {
    for (const size of sizes) this.words[this.cursor++] = size;
    return this;
  }

  /** Argument: an f32. */
  number(value: number): this {
    this.numbers[this.cursor++] = value;
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
    buffer.last = Math.max(buffer.last, this.commands - 1);
    this.patchedWords.push(this.cursor);
    this.patchedBuffers.push(buffer);
    this.words[this.cursor++] = offset;
    return this;
  }

  /** Argument: memory that a chunk has to itself while it is computed. */
  scratch(bytes: number): this {
    const command = this.commands - 1;
    const start = command * WORDS;
    const size = align(bytes);
    this.words[start + SCRATCH_WORD] = this.cursor - start;
    this.words[start + SCRATCH_WORD + 1] = size;
    const buffer = new StepBuffer(size * this.workers, command);
    this.buffers.push(buffer);
    return this.buffer(buffer);
  }

  /** A tensor that the next command writes. */
  output(shape: Shape): WasmTensor {
    const buffer = this.room(numel(shape) * F32_BYTES);
    return new WasmTensor(shape, buffer, 0, this.step);
  }

  /** Memory that the next command writes. */
  room(bytes: number): StepBuffer {
    this.requireRecording();
    const buffer = new StepBuffer(bytes, this.commands);
    this.buffers.push(buffer);
    return buffer;
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
    const copy = this.planning ? undefined : values.slice();
    const buffer = new StepBuffer(values.byteLength, -1, copy);
    this.uploads.push(buffer);
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
    return requireKvStore(op, store, WasmKvStore, this.device);
  }

  /** Gives every buffer its place; `kept` stay until the end. */
  plan(kept: readonly WasmTensor[]): PlannedStep {
    for (const { buffer } of kept) buffer.last = KEPT;
    const { commands, words, uploads, cost } = this;
    const { patchedWords, patchedBuffers } = this;
    const arenaBytes = planArena([...uploads, ...this.buffers], commands);
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
        for (let i = 0; i < patchedWords.length; i++) {
          queue[patchedWords[i]!]! += arena + patchedBuffers[i]!.offset;
        }
        for (const { values, offset, bytes } of uploads) {
          const from = new Uint8Array(
            values!.buffer,
            values!.byteOffset,
            bytes,
          );
          new Uint8Array(memory, arena + offset, bytes).set(from);
        }
      },
      address: ({ buffer, offset }, commandBase) =>
        commandBase + commandBytes + buffer.offset + offset,
    };
  }

  /** Calls `record`; when it throws, drops what it recorded so far. */
  whole<T>(record: () => T): T {
    const { commands, cost } = this;
    const uploads = this.uploads.length;
    const buffers = this.buffers.length;
    const patches = this.patchedWords.length;
    try {
      return record();
    } catch (error) {
      this.derived.clear();
      this.commands = commands;
      this.cost = cost;
      this.uploads.length = uploads;
      this.buffers.length = buffers;
      this.patchedWords.length = patches;
      this.patchedBuffers.length = patches;
      throw error;
    }
  }

  /** Drops what was recorded; its tensors are dead. */
  endStep(): void {
    this.step = Symbol("step");
    this.commands = 0;
    this.cost = 0;
    this.uploads = [];
    this.buffers = [];
    this.patchedWords = [];
    this.patchedBuffers = [];
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

  private grow(): void {
    const words = new Uint32Array(2 * this.words.length);
    words.set(this.words);
    this.words = words;
    this.numbers = new Float32Array(words.buffer);
  }
}
