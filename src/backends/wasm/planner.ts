// Where the buffers of a step live: each gets a place from its first to its
// last command, so that buffers of different times share memory.
import { FreeList } from "../../ops/free_list.ts";
import type { StepBuffer } from "./tensors.ts";

/** Every region, buffer and weight starts at a multiple of this. */
export const ALIGNMENT = 64;

/** Rounds bytes up to a multiple of {@link ALIGNMENT}. */
export function align(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/**
 * Sets the offset of every buffer and returns the bytes the arena needs.
 *
 * Buffers must come in the order of their first command.
 */
export function planArena(
  buffers: readonly StepBuffer[],
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
  private buffers: readonly StepBuffer[] = [];
  private lasts: readonly number[] = [];
  private commands = 0;
  private bytes = 0;

  /** {@link planArena}, unless they are those of the step before, used alike: then they have their places. */
  place(buffers: readonly StepBuffer[], commands: number): number {
    const { buffers: known, lasts } = this;
    const isAlike = commands === this.commands &&
      buffers.length === known.length &&
      buffers.every((buffer, i) =>
        buffer === known[i] && buffer.last === lasts[i]
      );
    if (isAlike) return this.bytes;
    this.buffers = buffers;
    this.lasts = buffers.map(({ last }) => last);
    this.commands = commands;
    this.bytes = planArena(buffers, commands);
    return this.bytes;
  }
}
