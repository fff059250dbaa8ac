// What is recorded of a step: commands as words, and the buffers they use. All
// of it outlives the step: one that is like the step before finds the objects
// of its buffers again, and their places.
import type { Segment } from "../../ops/ops.ts";
import { StepBuffers } from "./step_buffers.ts";
import type { StepBuffer } from "./tensors.ts";

/** Words of a command, as in rust/kernels/src/command.rs. */
export const WORDS = 32;
const HEADER_WORDS = 6;
/** Work of a chunk where it can be chosen, in {@link Work.unitCost}s. */
export const CHUNK_COST = 15_000;
/** Cost of starting a chunk. */
const CHUNK_OVERHEAD = 100;

/** How the work of a command divides. */
export interface Work {
  /** Parts that may be computed in any order. */
  readonly units: number;
  /** Time of a part, in about a nanosecond. */
  readonly unitCost: number;
  /** Parts computed together; as many as make a good chunk unless given. */
  readonly unitsPerChunk?: number;
}

/** Where a segment begins, in the words of a command. */
export interface PositionUse {
  readonly command: number;
  /** The word with the position. */
  readonly word: number;
  readonly segments: readonly Segment[];
  readonly index: number;
  /** The work, where it depends on the position. */
  readonly workAt: ((segment: Segment) => Work) | undefined;
}

/** How far a recording has come. */
export interface Mark {
  readonly commands: number;
  readonly cost: number;
  readonly uploads: number;
  readonly buffers: number;
  readonly patches: number;
  readonly positions: number;
}

/** Words that lack the address of a buffer. */
export class Patches {
  count = 0;
  private words = new Uint32Array(1024);
  private buffers = new Int32Array(1024);

  /** Adds a word and the index of its buffer. */
  add(word: number, buffer: number): void {
    this.reserve(1);
    this.words[this.count] = word;
    this.buffers[this.count++] = buffer;
  }

  /** Adds what {@link since} gave. */
  addAll({ words, buffers }: PatchList): void {
    this.reserve(words.length);
    this.words.set(words, this.count);
    this.buffers.set(buffers, this.count);
    this.count += words.length;
  }

  /** A copy of all from number `first` on. */
  since(first: number): PatchList {
    const { count } = this;
    return {
      words: this.words.slice(first, count),
      buffers: this.buffers.slice(first, count),
    };
  }

  /** Adds `base` and the offsets of the buffers to the words of a queue. */
  apply(
    queue: Uint32Array,
    base: number,
    uploads: Uint32Array,
    results: Uint32Array,
  ): void {
    const { words, buffers, count } = this;
    for (let i = 0; i < count; i++) {
      const index = buffers[i]!;
      const offset = index < 0 ? uploads[~index]! : results[index]!;
      queue[words[i]!]! += base + offset;
    }
  }

  private reserve(count: number): void {
    let size = this.words.length;
    while (size < this.count + count) size *= 2;
    if (size === this.words.length) return;
    const { words, buffers } = this;
    this.words = new Uint32Array(size);
    this.words.set(words);
    this.buffers = new Int32Array(size);
    this.buffers.set(buffers);
  }
}

/** Words and the indices of their buffers. */
export interface PatchList {
  readonly words: Uint32Array;
  readonly buffers: Int32Array;
}

/** Commands, what they use, and which of their words are known only later. */
export class Recording {
  commands = 0;
  /** Work of all commands, in {@link Work.unitCost}s. */
  cost = 0;
  words: Uint32Array<ArrayBuffer> = new Uint32Array(256 * WORDS);
  private numbers = new Float32Array(this.words.buffer);
  private cursor = 0;
  /** Values of the host. */
  readonly uploads: StepBuffers = new StepBuffers(true);
  /** What commands write. */
  readonly buffers: StepBuffers = new StepBuffers(false);
  readonly patches: Patches = new Patches();
  readonly positions: PositionUse[] = [];

  /** Starts a command; its arguments follow. */
  begin(op: number, work: Work): void {
    this.reserve(1);
    const start = this.commands * WORDS;
    this.words.fill(0, start, start + WORDS);
    this.words[start] = op;
    this.cost += this.divide(this.commands, work);
    this.cursor = start + HEADER_WORDS;
    this.commands++;
  }

  /** Writes how the work of a command divides; gives its cost. */
  divide(command: number, { units, unitCost, unitsPerChunk }: Work): number {
    const start = command * WORDS;
    const perChunk = Math.max(
      1,
      Math.min(units, unitsPerChunk ?? Math.floor(CHUNK_COST / unitCost)),
    );
    this.words[start + 1] = units;
    this.words[start + 2] = perChunk;
    this.words[start + 3] = Math.ceil(perChunk * unitCost) + CHUNK_OVERHEAD;
    return units * unitCost + CHUNK_OVERHEAD;
  }

  /** The next argument: a size, or an address that is known. */
  addSize(size: number): void {
    this.words[this.cursor++] = size;
  }

  /** The next argument: an f32. */
  addNumber(value: number): void {
    this.numbers[this.cursor++] = value;
  }

  /** The next argument: so many bytes after the start of a buffer. */
  addBuffer(buffer: StepBuffer, offset: number): void {
    this.listOf(buffer).use(buffer, this.commands - 1);
    this.patches.add(this.cursor, buffer.index);
    this.words[this.cursor++] = offset;
  }

  /** The next argument: the address of room for each worker, of `bytes`. */
  addScratch(bytes: number, workers: number): void {
    const command = this.commands - 1;
    const start = command * WORDS;
    this.words[start + 4] = this.cursor - start;
    this.words[start + 5] = bytes;
    this.addBuffer(this.buffers.add(bytes * workers, command), 0);
  }

  /** The next argument: where a segment begins. */
  addPosition(
    segments: readonly Segment[],
    index: number,
    workAt: ((segment: Segment) => Work) | undefined,
  ): void {
    const { cursor: word } = this;
    const command = this.commands - 1;
    this.positions.push({ command, word, segments, index, workAt });
    this.addSize(segments[index]!.firstPosition);
  }

  /** The list that a buffer is in. */
  listOf({ index }: StepBuffer): StepBuffers {
    return index < 0 ? this.uploads : this.buffers;
  }

  /** Makes room for so many commands more. */
  reserve(commands: number): void {
    let size = this.words.length;
    while (size < (this.commands + commands) * WORDS) size *= 2;
    if (size === this.words.length) return;
    const words = new Uint32Array(size);
    words.set(this.words);
    this.words = words;
    this.numbers = new Float32Array(words.buffer);
  }

  /** How far it has come. */
  mark(): Mark {
    return {
      commands: this.commands,
      cost: this.cost,
      uploads: this.uploads.count,
      buffers: this.buffers.count,
      patches: this.patches.count,
      positions: this.positions.length,
    };
  }

  /** Drops what came after a mark. */
  rewind(mark: Mark): void {
    this.commands = mark.commands;
    this.cost = mark.cost;
    this.uploads.truncate(mark.uploads);
    this.buffers.truncate(mark.buffers);
    this.patches.count = mark.patches;
    this.positions.length = mark.positions;
  }

  /** Drops everything. */
  clear(): void {
    this.rewind(NOTHING);
  }
}

const NOTHING: Mark = {
  commands: 0,
  cost: 0,
  uploads: 0,
  buffers: 0,
  patches: 0,
  positions: 0,
};
