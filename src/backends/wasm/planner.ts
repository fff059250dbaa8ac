// Where the buffers of a step live: each gets a place from its first to its
// last command, so that buffers of different times share memory.
import type { StepBuffer } from "./tensors.ts";

/** Every region, buffer and weight starts at a multiple of this. */
export const ALIGNMENT = 64;

/** Rounds bytes up to a multiple of {@link ALIGNMENT}. */
export function align(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/** Free places, in order, none touching the next. */
class FreeList {
  private readonly starts: number[] = [];
  private readonly ends: number[] = [];
  /** End of the memory used so far. */
  top = 0;

  /** Takes the smallest place that fits, else extends the top. */
  take(size: number): number {
    let best = -1, bestSize = Infinity;
    for (let i = 0; i < this.starts.length; i++) {
      const free = this.ends[i]! - this.starts[i]!;
      if (free >= size && free < bestSize) {
        best = i;
        bestSize = free;
      }
    }
    if (best < 0) return this.extend(size);
    const start = this.starts[best]!;
    if (bestSize === size) this.remove(best);
    else this.starts[best] = start + size;
    return start;
  }

  give(start: number, size: number): void {
    let i = 0;
    while (i < this.starts.length && this.starts[i]! < start) i++;
    this.starts.splice(i, 0, start);
    this.ends.splice(i, 0, start + size);
    this.mergeWithNext(i);
    if (i > 0) this.mergeWithNext(i - 1);
  }

  private extend(size: number): number {
    const last = this.starts.length - 1;
    let start = this.top;
    if (last >= 0 && this.ends[last] === this.top) {
      start = this.starts[last]!;
      this.remove(last);
    }
    this.top = start + size;
    return start;
  }

  private mergeWithNext(i: number): void {
    if (this.ends[i] !== this.starts[i + 1]) return;
    this.ends[i] = this.ends[i + 1]!;
    this.remove(i + 1);
  }

  private remove(i: number): void {
    this.starts.splice(i, 1);
    this.ends.splice(i, 1);
  }
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
      placed.offset = free.take(align(placed.bytes));
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
