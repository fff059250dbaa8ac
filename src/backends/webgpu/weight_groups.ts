// Weights that kernels read together lie side by side, so that a kernel of many
// weights binds one buffer: every GPU binds eight, few bind twenty.
import type { WebGpuContext } from "./context.ts";
import { align } from "./flags.ts";
import { takeBuffer } from "./memory.ts";
import { type GpuMemory, Region } from "./tensors.ts";
import type { WebGpuWeight } from "./weights.ts";

/** Weights in one part of a buffer. */
export class WeightGroup {
  /** All of them. */
  readonly region: Region;
  private readonly weights: readonly WebGpuWeight[];
  private readonly offsets: ReadonlyMap<Region, number>;
  private filled = false;

  constructor(weights: readonly WebGpuWeight[]) {
    const offsets = new Map<Region, number>();
    let bytes = 0;
    for (const region of weights.flatMap(({ regions }) => regions)) {
      offsets.set(region, bytes);
      bytes += align(region.bytes);
    }
    this.weights = weights;
    this.offsets = offsets;
    this.region = new Region(bytes);
  }

  /** Bytes before a region of the group. */
  offsetOf(region: Region): number {
    return this.offsets.get(region)!;
  }

  /** Whether kernels can read it: the buffer is taken and filled. In a plan it need not be. */
  isReady(planning: boolean): boolean {
    if (planning || this.filled) return true;
    this.filled = this.region.memory !== undefined &&
      this.weights.every(({ complete }) => complete);
    return this.filled;
  }

  /** Puts it into a buffer. */
  place(memory: GpuMemory, offset: number): void {
    this.region.memory = memory;
    this.region.offset = offset;
    for (const [region, inner] of this.offsets) {
      region.memory = memory;
      region.offset = offset + inner;
    }
  }
}

/** All groups of a device: formed while its steps are planned. */
export class WeightGroups {
  private readonly all: WeightGroup[] = [];
  private readonly grouped = new Set<WebGpuWeight>();

  /**
   * Forms a group, unless a buffer of `maxBytes` does not hold it, one of the
   * weights is in another one already, or it lies in several parts.
   */
  form(
    weights: readonly WebGpuWeight[],
    maxBytes: number,
  ): WeightGroup | undefined {
    if (weights.some((w) => this.grouped.has(w) || w.parts.length !== 1)) {
      return undefined;
    }
    const group = new WeightGroup(weights);
    if (group.region.bytes > maxBytes) return undefined;
    for (const weight of weights) this.grouped.add(weight);
    this.all.push(group);
    return group;
  }

  /**
   * Takes their buffers: as few as can be, of `maxBytes` at most. Bind groups on
   * one buffer are encoded faster than those on one each.
   */
  take(context: WebGpuContext, maxBytes: number): void {
    for (let first = 0; first < this.all.length;) {
      const offsets: number[] = [];
      let bytes = 0;
      for (const { region } of this.all.slice(first)) {
        if (offsets.length > 0 && bytes + region.bytes > maxBytes) break;
        offsets.push(bytes);
        bytes += align(region.bytes);
      }
      const memory = takeBuffer(context, "weights of layers", bytes);
      offsets.forEach((offset, i) =>
        this.all[first + i]!.place(memory, offset)
      );
      first += offsets.length;
    }
  }
}
