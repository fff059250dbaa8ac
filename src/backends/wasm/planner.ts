// Where the buffers of a step live: each gets a place from its first to its
// last command, so that buffers of different times share memory.
import { FreeList } from "../../ops/free_list.ts";
import type { BufferRun, StepBuffers } from "./step_buffers.ts";

/** Every region, buffer and weight starts at a multiple of this. */
export const ALIGNMENT = 64;

/** Rounds bytes up to a multiple of {@link ALIGNMENT}. */
export function align(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/** A buffer to be placed. */
export interface BufferLife {
  readonly bytes: number;
  /** Indices of the first and the last command that use it. */
  readonly first: number;
  readonly last: number;
  /** Its place in the arena. */
  offset: number;
}

/**
 * Sets the offset of every buffer and returns the bytes the arena needs.
 *
 * Buffers must come in the order of their first command.
 */
export function planArena(
  buffers: readonly BufferLife[],
  commands: number,
): number {
  const free = new FreeList();
  // Buffers by their last command, as chains through `next`.
  const ending = new Int32Array(commands + 1).fill(-1);
  const next = new Int32Array(buffers.length);
  let buffer = 0;
  for (let command = -1; command < commands; command++) {
    while (buffer < buffers.length && buffers[buffer]!.first <= command) {
      const placed = buffers[buffer]!;
      placed.offset = free.take(align(placed.bytes))!;
      if (placed.last < commands) {
        next[buffer] = ending[placed.last + 1]!;
        ending[placed.last + 1] = buffer;
      }
      buffer++;
    }
    for (let i = ending[command + 1]!; i >= 0; i = next[i]!) {
      free.give(buffers[i]!.offset, align(buffers[i]!.bytes));
    }
  }
  return free.top;
}

/** Places the buffers of one step after another. */
export class ArenaPlan {
  /** Those of the last step that was placed. */
  private uploads: BufferRun = { buffers: [], lasts: new Int32Array(0) };
  private results: BufferRun = this.uploads;
  private commands = 0;
  private bytes = 0;

  /**
   * Sets the offsets of all buffers and returns the bytes the arena needs. Where
   * they are those of the step before, used alike, they have them.
   */
  place(uploads: StepBuffers, results: StepBuffers, commands: number): number {
    const isAlike = commands === this.commands &&
      uploads.isLike(this.uploads) && results.isLike(this.results);
    if (isAlike) return this.bytes;
    this.uploads = uploads.since(0);
    this.results = results.since(0);
    this.commands = commands;
    const lives = [...livesOf(this.uploads), ...livesOf(this.results)];
    this.bytes = planArena(lives, commands);
    lives.forEach(({ offset }, i) => {
      if (i < uploads.count) uploads.offsets[i] = offset;
      else results.offsets[i - uploads.count] = offset;
    });
    return this.bytes;
  }
}

function livesOf({ buffers, lasts }: BufferRun): BufferLife[] {
  return buffers.map(({ bytes, first }, i) => ({
    bytes,
    first,
    last: lasts[i]!,
    offset: 0,
  }));
}
