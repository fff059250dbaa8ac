// The WASM device: SIMD kernels, on the calling thread or on several others.
import { DeviceError, InputError } from "../../core/errors.ts";
import { numel, type Shape } from "../../core/shape.ts";
import type {
  Device,
  SubmitOptions,
  WeightRows,
  WeightSpec,
} from "../../ops/device.ts";
import type { KvSpec, KvStore, Ops, Tensor, Weight } from "../../ops/ops.ts";
import type { Platform } from "../../platform/platform.ts";
import { compileKernels } from "./kernel_module.ts";
import { KvRegion } from "./kv_region.ts";
import { type Engine, megabytes, type RegionBytes } from "./memory.ts";
import { createOps } from "./ops.ts";
import { Pacer } from "./pacer.ts";
import { packingBytes, packRows } from "./packing.ts";
import { align } from "./planner.ts";
import type { Pool } from "./pool.ts";
import { Queue } from "./queue.ts";
import { Recorder } from "./recorder.ts";
import { type EngineOptions, startEngine } from "./start_engine.ts";
import { WasmKvStore, WasmWeight } from "./tensors.ts";

/** Options of {@link createWasmDevice}. */
export interface WasmDeviceOptions {
  /** Clock, event loop and threads. */
  readonly platform: Platform;
  /** Threads that compute while the calling one waits. Default 1: the calling one computes. */
  readonly threads?: number | undefined;
  /** Steps of less work, in about nanoseconds, are not worth the threads. */
  readonly minSharedCost?: number | undefined;
  /** Time for the threads to be ready. Default 10 s. */
  readonly startLimitMs?: number | undefined;
  /** Told why there is one thread where more were asked for. */
  readonly onWarning?: ((warning: string) => void) | undefined;
  /** The compiled kernels, where the runtime forbids compiling them; the built-in ones unless given. */
  readonly module?: WebAssembly.Module | undefined;
}

/**
 * Makes a device that computes with WebAssembly SIMD: in float32, products
 * with quantised weights in integers. Results do not depend on the number of
 * threads, not by a bit.
 *
 * @throws {DeviceError} When the runtime has no WebAssembly with SIMD.
 */
export async function createWasmDevice(
  { threads = 1, ...options }: WasmDeviceOptions,
): Promise<Device> {
  try {
    if (options.module === undefined) await compileKernels();
    return new WasmDevice({ ...options, threads });
  } catch (cause) {
    throw new DeviceError(
      "Cannot compile the kernels: the runtime refused their WebAssembly " +
        'module; it needs SIMD, or pass a compiled "module"',
      { cause },
    );
  }
}

/**
 * Room for a step, in units of the largest planned one: a smaller step may fit
 * its buffers together less well. None of the models' was found to.
 */
const PLAN_MARGIN = 1 + 1 / 64;

/** Threads would outlive a device that was forgotten, with all its memory. */
const forgotten = new FinalizationRegistry<Pool>((pool) => void pool.stop());

class WasmDevice implements Device {
  readonly name = "wasm";
  readonly ops: Ops;
  private readonly options: EngineOptions;
  private readonly queue: Queue;
  private readonly recorder = new Recorder();
  private readonly kvRegion = new KvRegion();
  private weightBytes = 0;
  private activationBytes = 0;
  private engine: Engine | undefined;
  private disposed = false;

  constructor(options: WasmDeviceOptions & { readonly threads: number }) {
    this.options = options;
    this.recorder.workers = options.threads;
    const pacer = new Pacer(options.platform);
    this.queue = new Queue(pacer, options.minSharedCost);
    this.ops = createOps(this.recorder);
  }

  declareWeight(spec: WeightSpec): Weight {
    this.requireUnallocated(`declare weight "${spec.name}"`);
    const weight = new WasmWeight(
      spec,
      this.weightBytes,
      this.recorder.device,
    );
    this.weightBytes += align(weight.packedBytes);
    // Weights are written through the memory of the steps.
    const packing = align(packingBytes(weight, this.options.threads));
    this.activationBytes = Math.max(this.activationBytes, packing);
    return weight;
  }

  reserveKv(specs: readonly KvSpec[]): void {
    this.requireUnallocated("reserve key-value stores");
    this.kvRegion.reserve(specs);
  }

  plan(record: () => readonly Tensor[]): void {
    this.requireUnallocated("plan a step");
    this.recorder.requireRecording();
    this.recorder.planning = true;
    try {
      const kept = record().map((x) => this.recorder.own(x));
      const { commandBytes, arenaBytes } = this.recorder.plan(kept);
      const bytes = align(commandBytes + arenaBytes * PLAN_MARGIN);
      this.activationBytes = Math.max(this.activationBytes, bytes);
    } finally {
      this.recorder.endStep();
    }
  }

  requiredBytes(): RegionBytes {
    return {
      weights: this.weightBytes,
      kv: this.kvRegion.bytes,
      activations: this.activationBytes,
    };
  }

  async allocate(): Promise<void> {
    this.requireUnallocated("take the memory");
    const engine = await startEngine(this.options, this.requiredBytes());
    const { weights, kv } = engine.layout;
    this.recorder.bases.weights = weights;
    this.recorder.bases.kv = kv;
    this.recorder.workers = engine.workers;
    if (engine.pool) forgotten.register(this, engine.pool, this);
    this.engine = engine;
  }

  writeWeight(weight: Weight, rows: WeightRows): Promise<void> {
    return this.withEngine("write a weight", async (engine) => {
      const { recorder } = this;
      if (
        !(weight instanceof WasmWeight) || weight.device !== recorder.device
      ) {
        throw new InputError(
          "Cannot write a weight: it belongs to another device",
        );
      }
      recorder.requireRecording();
      recorder.running = true;
      try {
        await packRows(engine, this.queue, weight, rows);
      } finally {
        recorder.running = false;
      }
    });
  }

  createKvStore(spec: KvSpec): KvStore {
    const { device, planning } = this.recorder;
    // A plan has no use for the room, and would not give it back.
    if (planning) return new WasmKvStore(spec, 0, device);
    this.requireEngine("create a key-value store");
    return this.kvRegion.create(spec, device);
  }

  freeKvStore(store: KvStore): void {
    if (this.recorder.planning || this.disposed) return;
    this.kvRegion.release(this.recorder.ownStore("freeKvStore", store));
  }

  upload(data: Float32Array, shape: Shape): Tensor {
    return this.recorder.upload(data, shape);
  }

  async submit(options?: SubmitOptions): Promise<void> {
    await this.read([], options);
  }

  read(
    tensors: readonly Tensor[],
    { signal }: SubmitOptions = {},
  ): Promise<Float32Array[]> {
    return this.withEngine("run a step", async (engine) => {
      const { recorder } = this;
      recorder.requireRecording();
      try {
        const kept = tensors.map((x) => recorder.own(x));
        const step = recorder.plan(kept);
        recorder.running = true;
        this.requireRoom(step.commandBytes, step.arenaBytes);
        signal?.throwIfAborted();
        const base = engine.layout.activations;
        const { buffer } = engine.memory;
        step.write(buffer, base);
        await this.queue.run(engine, step, signal);
        return kept.map((x) => {
          const address = step.address(x, base);
          return new Float32Array(buffer, address, numel(x.shape)).slice();
        });
      } finally {
        recorder.endStep();
      }
    });
  }

  discard(): void {
    this.recorder.requireRecording();
    this.recorder.endStep();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const pool = this.engine?.pool;
    this.disposed = true;
    this.engine = undefined;
    forgotten.unregister(this);
    await pool?.stop();
  }

  private requireRoom(commandBytes: number, arenaBytes: number): void {
    const found = commandBytes + arenaBytes;
    if (found > this.activationBytes) {
      throw new DeviceError(
        `Cannot run a step of ${megabytes(found)}: the memory has room for ` +
          `${megabytes(this.activationBytes)}; plan a larger one, or pass ` +
          "fewer rows at a time",
      );
    }
  }

  private requireUnallocated(action: string): void {
    if (this.engine || this.disposed) {
      throw new InputError(
        `Cannot ${action}: the memory of the device was taken; do so before ` +
          "allocate()",
      );
    }
  }

  private requireEngine(action: string): Engine {
    if (this.engine) return this.engine;
    throw new InputError(
      this.disposed
        ? `Cannot ${action}: the device was disposed`
        : `Cannot ${action}: the device has no memory yet; call ` +
          "allocate() first",
    );
  }

  /** Calls `use` with the engine; whatever it throws rejects. */
  private async withEngine<T>(
    action: string,
    use: (engine: Engine) => Promise<T>,
  ): Promise<T> {
    return await use(this.requireEngine(action));
  }
}
