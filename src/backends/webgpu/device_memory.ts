// All memory of a device: sized while it is declared, taken once.
import { DeviceError } from "../../core/errors.ts";
import type { WebGpuContext } from "./context.ts";
import { KvRegion } from "./kv_region.ts";
import {
  megabytes,
  type MemoryBytes,
  takeBuffer,
  takeMemory,
  takeRegion,
} from "./memory.ts";
import { TokenMemory } from "./ops/tokens.ts";
import type { Recorder } from "./recorder.ts";
import { Slots } from "./slots.ts";
import type { WebGpuWeight } from "./weights.ts";

/** Room for a step, in units of the largest planned one. */
const PLAN_MARGIN = 1.125;

/** Bytes of layers in one buffer: few buffers, but none so large that no place is left for it. */
const MAX_GROUPS_BYTES = 2 ** 29;

/** Weights, key-value stores, chosen tokens, and what a step needs. */
export class DeviceMemory {
  readonly weights: WebGpuWeight[] = [];
  readonly kvRegion: KvRegion = new KvRegion();
  readonly tokens: TokenMemory;
  private readonly context: WebGpuContext;
  private readonly recorder: Recorder;
  private readonly slots = new Slots();
  private uploadBytes = 0;
  /** Bytes that a step may take. */
  private activationBytes = 0;

  constructor(context: WebGpuContext, recorder: Recorder) {
    this.context = context;
    this.recorder = recorder;
    this.tokens = new TokenMemory(context.gpu.queue);
  }

  /** Makes room for the step that is recorded. */
  plan(): void {
    const { recorder, slots } = this;
    slots.place(recorder.buffers, recorder.dispatches.length);
    this.uploadBytes = Math.max(this.uploadBytes, recorder.uploads.bytes);
    this.activationBytes = slots.bytes +
      Math.ceil(this.uploadBytes * PLAN_MARGIN);
  }

  /** Bytes of {@link requiredBytes} for weights that may be left out. */
  get optionalBytes(): number {
    return this.weights.reduce(
      (sum, { optional, bytes }) => sum + (optional ? bytes : 0),
      0,
    );
  }

  /** Bytes that it takes. */
  requiredBytes(): MemoryBytes {
    return {
      weights: this.takenWeights.reduce((sum, { bytes }) => sum + bytes, 0),
      kv: this.kvRegion.bytes,
      activations: this.activationBytes + this.tokens.region.bytes,
    };
  }

  /**
   * Takes it all, or without the optional weights.
   *
   * @throws {DeviceError} When the GPU has not got it.
   */
  async take(): Promise<void> {
    try {
      await this.takeAll();
    } catch (error) {
      const optional = this.weights.filter((weight) => weight.optional);
      if (!(error instanceof DeviceError) || optional.length === 0) throw error;
      this.free();
      for (const weight of optional) weight.leftOut = true;
      await this.takeAll();
    }
  }

  /** Gives it back. */
  free(): void {
    const owners = [
      ...this.weights.flatMap(({ regions }) => regions),
      ...this.slots.all,
      this.kvRegion,
      this.tokens.region,
      this.recorder.uploads,
    ];
    for (const owner of owners) {
      owner.memory?.buffer.destroy();
      owner.memory = undefined;
    }
  }

  /**
   * Gives every buffer of the recorded step its place.
   *
   * @throws {DeviceError} When the step is larger than any that was planned.
   */
  placeBuffers(): void {
    const { recorder, slots, context } = this;
    const { buffers, dispatches, uploads } = recorder;
    const placed = slots.place(buffers, dispatches.length);
    const found = slots.bytes + uploads.bytes;
    if (found > this.activationBytes * PLAN_MARGIN) {
      slots.dropUntaken();
      throw new DeviceError(
        `Cannot run a step of ${megabytes(found)}: the memory has room for ` +
          `${megabytes(this.activationBytes)}; plan a larger one, or pass ` +
          "fewer rows at a time",
      );
    }
    for (const slot of slots.all) {
      slot.memory ??= takeBuffer(context, "activations", slot.bytes);
    }
    for (const [i, buffer] of buffers.entries()) {
      const { memory } = placed[i]!;
      if (buffer.memory === memory) continue;
      if (buffer.memory !== undefined) recorder.placement++;
      buffer.memory = memory;
    }
    if (uploads.memory!.buffer.size < uploads.bytes) {
      uploads.memory!.buffer.destroy();
      uploads.memory = takeBuffer(context, "uploads", uploads.bytes);
      recorder.placement++;
    }
  }

  private get takenWeights(): readonly WebGpuWeight[] {
    return this.weights.filter(({ leftOut }) => !leftOut);
  }

  private takeAll(): Promise<void> {
    const { context, kvRegion, recorder, slots, tokens } = this;
    return takeMemory(context, this.requiredBytes(), () => {
      recorder.groups.take(
        context,
        Math.min(context.limits.maxBufferSize, MAX_GROUPS_BYTES),
      );
      for (const { name, regions } of this.takenWeights) {
        for (const region of regions) {
          if (!region.memory) takeRegion(context, name, region);
        }
      }
      kvRegion.memory = takeBuffer(context, "key-value stores", kvRegion.bytes);
      takeRegion(context, "tokens", tokens.region);
      for (const slot of slots.all) {
        slot.memory = takeBuffer(context, "activations", slot.bytes);
      }
      const bytes = Math.ceil(this.uploadBytes * PLAN_MARGIN);
      recorder.uploads.memory = takeBuffer(context, "uploads", bytes);
    });
  }
}
