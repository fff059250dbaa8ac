// Records operations as commands and runs them in slices, so that the event
// loop is never held for long and a signal is noticed between slices.
import { numel, type Shape } from "../../core/shape.ts";
import type { Platform } from "../../platform/platform.ts";
import type { WeightKind } from "../device.ts";
import {
  requireKvStore,
  requireNoStep,
  requireTensor,
  requireValues,
  requireWeight,
} from "../handle_checks.ts";
import type { KvStore, Tensor, Weight } from "../ops.ts";
import {
  ReferenceKvStore,
  ReferenceTensor,
  ReferenceWeight,
  Storage,
} from "./memory.ts";

/** Computes items `first .. end` of a result. */
export type Body = (first: number, end: number) => void;

/** The data of each tensor of a tuple. */
export type DataOf<T extends readonly Tensor[]> = {
  [K in keyof T]: Float32Array;
};

/** How the work of a command divides. */
export interface Work {
  /** Number of parts that can be computed one after another. */
  readonly items: number;
  /** Multiply-adds of one part, roughly. */
  readonly perItem: number;
}

interface Command {
  readonly work: Work;
  readonly inputs: readonly ReferenceTensor[];
  readonly output: Storage | undefined;
  /** Looks up the data once the inputs are there. */
  readonly start: () => Body;
}

/** Multiply-adds between two looks at the clock: a few milliseconds. */
const SLICE_WORK = 2 ** 21;
/** Longest time the event loop is held, give or take a slice. */
const YIELD_AFTER_MS = 25;

/** The commands of the step being recorded. */
export class Recorder {
  /** Marks what belongs to this device. */
  readonly device = Symbol("device");
  private commands: Command[] = [];
  private uploads: Storage[] = [];
  private step = Symbol("step");
  private mode: "record" | "plan" | "run" = "record";

  /** Whether this step is recorded for its memory needs alone. */
  get planning(): boolean {
    return this.mode === "plan";
  }

  /** Records a command that makes a tensor. */
  record<const T extends readonly Tensor[]>(
    shape: Shape,
    inputs: T,
    work: Work,
    start: (out: Float32Array, ...inputs: DataOf<T>) => Body,
  ): Tensor {
    const output = new Storage(numel(shape));
    this.push(inputs, output, work, (data: DataOf<T>) => {
      output.data = new Float32Array(output.size);
      return start(output.data, ...data);
    });
    return new ReferenceTensor(shape, output, 0, this.step);
  }

  /** Records a command that only changes a store. */
  recordEffect<const T extends readonly Tensor[]>(
    inputs: T,
    work: Work,
    start: (...inputs: DataOf<T>) => Body,
  ): void {
    this.push(inputs, undefined, work, (data: DataOf<T>) => start(...data));
  }

  /** The same memory from `offset` elements on, under another shape. */
  view(x: Tensor, shape: Shape, offset: number): Tensor {
    this.requireRecording();
    const { storage, offset: start } = this.own(x);
    return new ReferenceTensor(shape, storage, start + offset, this.step);
  }

  /** A tensor with these values, copied. */
  upload(values: Float32Array, shape: Shape): Tensor {
    this.requireRecording();
    requireValues(values, shape);
    const copy = this.planning ? undefined : values.slice();
    const storage = new Storage(values.length, copy);
    this.uploads.push(storage);
    return new ReferenceTensor(shape, storage, 0, this.step);
  }

  /** Checks that a weight is of this device, of the right kind, and filled. */
  weight(op: string, w: Weight, kind: WeightKind): ReferenceWeight {
    const { device, planning: mayBeEmpty } = this;
    return requireWeight(op, w, ReferenceWeight, { device, kind, mayBeEmpty });
  }

  /** Checks that the stores are of this device and taken; a plan needs none. */
  stores(op: string, stores: readonly KvStore[]): ReferenceKvStore[] {
    if (this.planning) return [];
    return stores.map((store) =>
      requireKvStore(op, store, ReferenceKvStore, this.device)
    );
  }

  /** Records for memory needs alone and returns the most bytes alive at once. */
  plan(record: () => readonly Tensor[]): number {
    this.requireRecording();
    this.mode = "plan";
    try {
      for (const x of record()) this.own(x).storage.lastUse = Infinity;
      return this.peakBytes();
    } finally {
      this.endStep();
    }
  }

  /** Runs what was recorded, copies `tensors` out, ends the step. */
  async run(
    tensors: readonly Tensor[],
    platform: Platform,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array[]> {
    this.requireRecording();
    this.mode = "run";
    try {
      signal?.throwIfAborted();
      const results = tensors.map((x) => this.own(x));
      // Read at the end, whichever command uses them last.
      for (const { storage } of results) storage.lastUse = Infinity;
      let yieldedAt = platform.now();
      for (const [index, command] of this.commands.entries()) {
        const body = command.start();
        const { items, perItem } = command.work;
        const count = Math.max(1, Math.floor(SLICE_WORK / perItem));
        for (let first = 0; first < items; first += count) {
          body(first, Math.min(items, first + count));
          if (platform.now() - yieldedAt > YIELD_AFTER_MS) {
            await platform.yieldToEventLoop();
            yieldedAt = platform.now();
          }
          signal?.throwIfAborted();
        }
        release(command, index);
      }
      return results.map((x) => x.data.slice());
    } finally {
      this.endStep();
    }
  }

  /** Drops what was recorded. */
  discard(): void {
    this.requireRecording();
    this.endStep();
  }

  private push<T extends readonly Tensor[]>(
    inputs: T,
    output: Storage | undefined,
    work: Work,
    start: (data: DataOf<T>) => Body,
  ): void {
    this.requireRecording();
    const own = inputs.map((x) => this.own(x));
    for (const { storage } of own) storage.lastUse = this.commands.length;
    this.commands.push({
      work,
      inputs: own,
      output,
      start: () => start(own.map((x) => x.data) as DataOf<T>),
    });
  }

  private own(x: Tensor): ReferenceTensor {
    return requireTensor(x, ReferenceTensor, this.step);
  }

  private requireRecording(): void {
    requireNoStep(this.mode === "run");
  }

  private endStep(): void {
    this.commands = [];
    this.uploads = [];
    this.step = Symbol("step");
    this.mode = "record";
  }

  private peakBytes(): number {
    let live = this.uploads.reduce((sum, { size }) => sum + size, 0);
    let peak = live;
    for (const [index, command] of this.commands.entries()) {
      live += command.output?.size ?? 0;
      peak = Math.max(peak, live);
      const last = command.inputs.filter((x) => x.storage.lastUse === index);
      for (const storage of new Set(last.map((x) => x.storage))) {
        live -= storage.size;
      }
    }
    return peak * Float32Array.BYTES_PER_ELEMENT;
  }
}

function release(command: Command, index: number): void {
  for (const { storage } of command.inputs) {
    if (storage.lastUse === index) storage.data = undefined;
  }
}
