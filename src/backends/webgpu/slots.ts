// Memory of a step's results: a few GPU buffers, each of which holds one result
// after another. A whole buffer a result, because WebGPU forbids a dispatch to
// read and to write one buffer, and because dispatches that share no buffer
// need not wait for each other.
import { align } from "./flags.ts";
import type { GpuMemory, StepBuffer } from "./tensors.ts";

/** One GPU buffer. */
export interface Slot {
  readonly bytes: number;
  memory: GpuMemory | undefined;
}

/** Gives every result of a step a slot from its first to its last dispatch. */
export class Slots {
  /** All there are, those with memory first. */
  readonly all: Slot[] = [];

  /** Bytes of all slots. */
  get bytes(): number {
    return this.all.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /**
   * Places buffers, which must come in the order of their first dispatch. What
   * fits nowhere gets a slot of its own, without memory for now.
   */
  place(buffers: readonly StepBuffer[], dispatches: number): Slot[] {
    const free = new Set(this.all);
    const ending = new Map<number, Slot[]>();
    const placed: Slot[] = [];
    let buffer = 0;
    // A result without elements may come after the last dispatch.
    for (let dispatch = 0; dispatch <= dispatches; dispatch++) {
      while (buffer < buffers.length && buffers[buffer]!.first <= dispatch) {
        const { bytes, last } = buffers[buffer]!;
        const slot = smallest(free, align(Math.max(1, bytes))) ??
          this.add(align(Math.max(1, bytes)));
        free.delete(slot);
        placed.push(slot);
        const others = ending.get(last);
        if (others) others.push(slot);
        else ending.set(last, [slot]);
        buffer++;
      }
      for (const slot of ending.get(dispatch) ?? []) free.add(slot);
    }
    return placed;
  }

  /** Drops slots that never got memory. */
  dropUntaken(): void {
    const taken = this.all.filter(({ memory }) => memory !== undefined);
    this.all.splice(0, this.all.length, ...taken);
  }

  private add(bytes: number): Slot {
    const slot = { bytes, memory: undefined };
    this.all.push(slot);
    return slot;
  }
}

function smallest(free: ReadonlySet<Slot>, bytes: number): Slot | undefined {
  let best: Slot | undefined;
  for (const slot of free) {
    if (slot.bytes >= bytes && !(best && best.bytes <= slot.bytes)) best = slot;
  }
  return best;
}
