// The buffers of a step. What changes from step to step lies beside the objects,
// in arrays: a step has hundreds of buffers, and weights have taken the caches.
import { StepBuffer } from "./tensors.ts";

/** Last use of a buffer that is read back: after the last command. */
export const KEPT = 2 ** 31 - 1;

/** Buffers in a row, and the last command that uses each. */
export interface BufferRun {
  readonly buffers: readonly StepBuffer[];
  readonly lasts: Int32Array;
}

/** Buffers in the order they were asked for. */
export class StepBuffers {
  count = 0;
  /** Of each buffer, the index of the last command that uses it. */
  lasts: Int32Array<ArrayBuffer> = new Int32Array(256);
  /** Of each buffer, the offset in the arena, once it is planned. */
  offsets: Uint32Array<ArrayBuffer> = new Uint32Array(256);
  /** Those of this step, then others of earlier ones. */
  private readonly list: StepBuffer[] = [];
  private readonly areUploads: boolean;

  /** Those of values of the host, or of what commands write. */
  constructor(areUploads: boolean) {
    this.areUploads = areUploads;
  }

  /** Those of this step. */
  get used(): StepBuffer[] {
    return this.list.slice(0, this.count);
  }

  /** Drops all but the first `count`, and what the host gave for them. */
  truncate(count: number): void {
    if (this.areUploads) {
      for (const dropped of this.list.slice(count, this.count)) {
        dropped.values = undefined;
      }
    }
    this.count = count;
  }

  /** The next buffer: the one of an earlier step where that was the same. */
  add(bytes: number, first: number): StepBuffer {
    this.reserve(1);
    let buffer = this.list[this.count];
    if (buffer?.bytes === bytes && buffer.first === first) {
      buffer.rounded = false;
    } else {
      const index = this.areUploads ? ~this.count : this.count;
      buffer = new StepBuffer(bytes, first, index);
      this.list[this.count] = buffer;
    }
    this.lasts[this.count++] = first;
    return buffer;
  }

  /** Adds what {@link since} gave, at the same place. */
  addAll({ buffers, lasts }: BufferRun): void {
    this.reserve(lasts.length);
    this.lasts.set(lasts, this.count);
    for (const buffer of buffers) this.list[this.count++] = buffer;
  }

  /** A copy of all from number `first` on. */
  since(first: number): BufferRun {
    return {
      buffers: this.list.slice(first, this.count),
      lasts: this.lasts.slice(first, this.count),
    };
  }

  /** Whether these are the very buffers of a run, used by the same commands last. */
  isLike({ buffers, lasts }: BufferRun): boolean {
    if (this.count !== buffers.length) return false;
    for (let i = 0; i < buffers.length; i++) {
      if (this.list[i] !== buffers[i] || this.lasts[i] !== lasts[i]) {
        return false;
      }
    }
    return true;
  }

  /** The last command so far that uses a buffer. */
  lastOf(buffer: StepBuffer): number {
    return this.lasts[this.placeOf(buffer)]!;
  }

  /** Where a buffer lies in the arena. */
  offsetOf(buffer: StepBuffer): number {
    return this.offsets[this.placeOf(buffer)]!;
  }

  /** Notes that a command uses a buffer. */
  use(buffer: StepBuffer, command: number): void {
    const place = this.placeOf(buffer);
    if (command > this.lasts[place]!) this.lasts[place] = command;
  }

  private placeOf({ index }: StepBuffer): number {
    return this.areUploads ? ~index : index;
  }

  private reserve(count: number): void {
    let size = this.lasts.length;
    while (size < this.count + count) size *= 2;
    if (size === this.lasts.length) return;
    const { lasts, offsets } = this;
    this.lasts = new Int32Array(size);
    this.lasts.set(lasts);
    this.offsets = new Uint32Array(size);
    this.offsets.set(offsets);
  }
}
