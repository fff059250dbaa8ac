// Best-fit bookkeeping of a memory, whatever it holds.

/** Places of a memory that are free, in order, none touching the next. */
export class FreeList {
  private readonly starts: number[] = [];
  private readonly ends: number[] = [];
  /** End of the memory used so far. */
  top = 0;
  /** Where the top must stop. */
  limit: number;

  /** A memory of at most `limit` bytes, all of it free. */
  constructor(limit = Infinity) {
    this.limit = limit;
  }

  /** Takes the smallest place that fits, else extends the top; `undefined` when that would pass the limit. */
  take(size: number): number | undefined {
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

  /** Gives a place back. */
  give(start: number, size: number): void {
    let i = 0;
    while (i < this.starts.length && this.starts[i]! < start) i++;
    this.starts.splice(i, 0, start);
    this.ends.splice(i, 0, start + size);
    this.mergeWithNext(i);
    if (i > 0) this.mergeWithNext(i - 1);
  }

  private extend(size: number): number | undefined {
    const last = this.starts.length - 1;
    const joins = last >= 0 && this.ends[last] === this.top;
    const start = joins ? this.starts[last]! : this.top;
    if (start + size > this.limit) return undefined;
    if (joins) this.remove(last);
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
