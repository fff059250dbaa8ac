// The WebGPU device: kernels in WGSL, a step is a command buffer.
import { InputError } from "../../core/errors.ts";
import { numel, type Shape } from "../../core/shape.ts";
import type {
  Device,
  SubmitOptions,
  WeightRows,
  WeightSpec,
} from "../../ops/device.ts";
import type { KvSpec, KvStore, Ops, Tensor, Weight } from "../../ops/ops.ts";
import type { TokenOps } from "../../ops/token_ops.ts";
import type { Platform } from "../../platform/platform.ts";
import type { WebGpuContext } from "./context.ts";
import { DeviceMemory } from "./device_memory.ts";
import { KvRegion } from "./kv_region.ts";
import type { MemoryBytes } from "./memory.ts";
import { createOps, createTokenOps } from "./ops.ts";
import { Readback } from "./readback.ts";
import { Recorder } from "./recorder.ts";
import { type Slice, Slices } from "./slices.ts";
import { encodeCopies, encodeDispatches } from "./step.ts";
import { F32_BYTES, type WebGpuTensor } from "./tensors.ts";
import { WebGpuWeight } from "./weights.ts";

/** Options of {@link createWebGpuDevice}. */
export interface WebGpuDeviceOptions {
  /** Clock and event loop. */
  readonly platform: Platform;
  /** The GPU, which other devices may share. */
  readonly context: WebGpuContext;
  /** Called once the device is disposed. */
  readonly onDispose?: (() => void) | undefined;
}

/** Makes a device that computes on a GPU, in float32. */
export function createWebGpuDevice(
  options: WebGpuDeviceOptions,
): WebGpuDevice {
  return new WebGpuDevice(options);
}

/** A binding may not be longer: kernels count bytes in 32 bits. */
const MAX_BINDING_BYTES = 2 ** 31;

/** How to run a step. */
interface StepOptions extends SubmitOptions {
  /** Whether to wait until it is done. */
  readonly waits: boolean;
}

/** A device on a GPU. */
export class WebGpuDevice implements Device {
  readonly name = "webgpu";
  /** How often each kernel runs, of each step that was planned. */
  readonly planned: ReadonlyMap<string, number>[] = [];
  readonly ops: Ops;
  readonly tokens: TokenOps;
  private readonly context: WebGpuContext;
  private readonly onDispose: (() => void) | undefined;
  private readonly recorder = new Recorder();
  private readonly readback: Readback;
  /** Tells when a slice that brings nothing back is done. */
  private readonly marker: Readback;
  private readonly slices: Slices;
  private readonly memory: DeviceMemory;
  private state: "declaring" | "ready" | "disposed" = "declaring";

  constructor({ platform, context, onDispose }: WebGpuDeviceOptions) {
    this.context = context;
    this.onDispose = onDispose;
    const mapping = { mapsAtOnce: platform.name === "deno" };
    this.readback = new Readback(context.gpu, mapping);
    this.marker = new Readback(context.gpu, mapping);
    this.slices = new Slices(platform);
    this.ops = createOps(this.recorder, context.subgroups, context.limits);
    this.memory = new DeviceMemory(context, this.recorder);
    this.tokens = createTokenOps(
      this.recorder,
      this.memory.tokens,
      (action) => this.requireState("declaring", action),
    );
  }

  declareWeight(spec: WeightSpec): Weight {
    this.requireState("declaring", `declare weight "${spec.name}"`);
    const { maxStorageBufferBindingSize, maxBufferSize } = this.context.limits;
    const weight = new WebGpuWeight(
      spec,
      this.recorder.device,
      Math.min(maxStorageBufferBindingSize, maxBufferSize, MAX_BINDING_BYTES),
    );
    this.memory.weights.push(weight);
    return weight;
  }

  reserveKv(specs: readonly KvSpec[]): void {
    this.requireState("declaring", "reserve key-value stores");
    this.memory.kvRegion.reserve(specs);
  }

  plan(record: () => readonly Tensor[]): void {
    this.requireState("declaring", "plan a step");
    const { recorder } = this;
    recorder.requireRecording();
    recorder.planning = true;
    try {
      for (const x of record()) recorder.keep(x);
      this.memory.plan();
      const kernels = new Map<string, number>();
      for (const { label } of recorder.dispatches) {
        kernels.set(label, (kernels.get(label) ?? 0) + 1);
      }
      this.planned.push(kernels);
    } finally {
      recorder.endStep();
    }
  }

  /** Bytes of {@link requiredBytes} for weights that may be left out. */
  get optionalBytes(): number {
    return this.memory.optionalBytes;
  }

  requiredBytes(): MemoryBytes {
    return this.memory.requiredBytes();
  }

  async allocate(): Promise<void> {
    this.requireState("declaring", "take the memory");
    const { context, marker } = this;
    await this.memory.take();
    await context.guard("map a buffer", () => marker.reserve(F32_BYTES));
    this.state = "ready";
  }

  // deno-lint-ignore require-await -- what it throws must reject
  async writeWeight(weight: Weight, rows: WeightRows): Promise<void> {
    this.requireState("ready", "write a weight");
    this.context.requireWorking("write a weight");
    if (
      !(weight instanceof WebGpuWeight) ||
      weight.device !== this.recorder.device
    ) {
      throw new InputError(
        "Cannot write a weight: it belongs to another device",
      );
    }
    const { queue } = this.context.gpu;
    for (const { region, offset, bytes } of weight.pack(rows)) {
      const { buffer } = region.memory!;
      queue.writeBuffer(buffer, region.offset + offset, bytes as BufferSource);
    }
    queue.submit([]); // frees the copies
  }

  createKvStore(spec: KvSpec): KvStore {
    const { device, planning } = this.recorder;
    if (planning) return KvRegion.standIn(spec, device);
    this.requireState("ready", "create a key-value store");
    return this.memory.kvRegion.create(spec, device);
  }

  freeKvStore(store: KvStore): void {
    if (this.recorder.planning || this.state === "disposed") return;
    this.memory.kvRegion.release(
      this.recorder.ownStore("freeKvStore", store),
    );
  }

  upload(data: Float32Array, shape: Shape): Tensor {
    return this.recorder.upload(data, shape);
  }

  async submit(options?: SubmitOptions): Promise<void> {
    await this.step([], { ...options, waits: false });
  }

  read(
    tensors: readonly Tensor[],
    options?: SubmitOptions,
  ): Promise<Float32Array[]> {
    return this.step(tensors, { ...options, waits: true });
  }

  private async step(
    tensors: readonly Tensor[],
    { signal, waits }: StepOptions,
  ): Promise<Float32Array[]> {
    this.requireState("ready", "run a step");
    const { recorder } = this;
    recorder.requireRecording();
    try {
      const kept = tensors.map((x) => recorder.keep(x));
      recorder.running = true;
      signal?.throwIfAborted();
      this.memory.placeBuffers();
      const sizes = kept.map(({ shape }) => numel(shape) * F32_BYTES);
      const values = await this.run(
        kept,
        sizes.reduce((sum, size) => sum + size, 0),
        { signal, waits },
      );
      signal?.throwIfAborted();
      let offset = 0;
      return sizes.map((size) => {
        const part = new Float32Array(values, offset, size / F32_BYTES);
        offset += size;
        return part;
      });
    } finally {
      recorder.endStep();
    }
  }

  /** Runs the step in slices; gives the bytes of `kept`, or none where the step goes on. */
  private async run(
    kept: readonly WebGpuTensor[],
    bytes: number,
    { signal, waits }: StepOptions,
  ): Promise<ArrayBuffer> {
    const { context, recorder, slices } = this;
    context.requireWorking("run a step");
    const { dispatches, uploads } = recorder;
    if (uploads.bytes > 0) {
      const { buffer } = uploads.memory!;
      context.gpu.queue.writeBuffer(buffer, 0, uploads.contents);
    }
    for (let first = 0;;) {
      const slice = slices.next(dispatches, first);
      const isLast = slice.end === dispatches.length;
      if (!(isLast && waits) && slices.mayRunAhead(slice, isLast)) {
        await this.submitSlice(slice, [], undefined);
        if (isLast) return new ArrayBuffer(0);
        await slices.pauseSometimes();
      } else {
        const values = await this.finishSlice(slice, isLast ? kept : [], bytes);
        if (isLast) {
          await slices.pauseSometimes();
          return values;
        }
        await slices.pause();
      }
      signal?.throwIfAborted();
      first = slice.end;
    }
  }

  /** Submits a slice and waits for all that was; gives the bytes of `kept`. */
  private async finishSlice(
    slice: Slice,
    kept: readonly WebGpuTensor[],
    bytes: number,
  ): Promise<ArrayBuffer> {
    // What brings nothing back is over when a few bytes can be read.
    const readback = kept.length > 0 ? this.readback : this.marker;
    const wanted = kept.length > 0 ? Math.max(F32_BYTES, bytes) : F32_BYTES;
    let values = new ArrayBuffer(0);
    await this.context.guard("run a step", async () => {
      const target = await readback.reserve(wanted);
      await this.submitSlice(slice, kept, target);
      values = await readback.read(wanted);
      this.slices.ended();
    });
    return values;
  }

  private async submitSlice(
    slice: Slice,
    kept: readonly WebGpuTensor[],
    target: GPUBuffer | undefined,
  ): Promise<void> {
    const { context, recorder, slices } = this;
    const { gpu } = context;
    const { isBusy } = slices;
    slices.submits(slice);
    await context.checked("run a step", () => {
      const encoder = encodeDispatches(context, recorder, slice, isBusy);
      if (target) encodeCopies(encoder, recorder, kept, target);
      gpu.queue.submit([encoder.finish()]);
    });
  }

  discard(): void {
    this.recorder.requireRecording();
    this.recorder.endStep();
  }

  [Symbol.asyncDispose](): Promise<void> {
    if (this.state !== "disposed") {
      this.state = "disposed";
      this.memory.free();
      this.readback.destroy();
      this.marker.destroy();
      this.onDispose?.();
    }
    return Promise.resolve();
  }

  private requireState(wanted: "declaring" | "ready", action: string): void {
    if (this.state === wanted) return;
    const reason = this.state === "disposed"
      ? "the device was disposed"
      : wanted === "ready"
      ? "the device has no memory yet; call allocate() first"
      : "the memory of the device was taken; do so before allocate()";
    throw new InputError(`Cannot ${action}: ${reason}`);
  }
}
