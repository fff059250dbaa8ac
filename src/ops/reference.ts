// The reference device: the definition of every operation in plain loops over
// float32 arrays, with sums in float64. The other devices are tested against
// it, and it runs models where nothing else does.
import { DeviceError, InputError } from "../core/errors.ts";
import { numel, type Shape } from "../core/shape.ts";
import type { Platform } from "../platform/platform.ts";
import type {
  Device,
  SubmitOptions,
  WeightRows,
  WeightSpec,
} from "./device.ts";
import type { KvSpec, KvStore, Ops, Tensor, Weight } from "./ops.ts";
import { dataOps } from "./reference/data.ts";
import { decoderOps } from "./reference/decoder.ts";
import { elementwiseOps } from "./reference/elementwise.ts";
import {
  kvBytes,
  ReferenceKvStore,
  ReferenceWeight,
} from "./reference/memory.ts";
import { pictureOps } from "./reference/pictures.ts";
import { Recorder } from "./reference/recorder.ts";
import { rowOps } from "./reference/rows.ts";
import { soundOps } from "./reference/sound.ts";
import { shapes } from "./shapes.ts";

/** Options of {@link createReferenceDevice}. */
export interface ReferenceDeviceOptions {
  /** Clock and event loop. */
  readonly platform: Platform;
}

/** Makes a device that computes in plain TypeScript, float32. */
export function createReferenceDevice(
  options: ReferenceDeviceOptions,
): Promise<Device> {
  return Promise.resolve(new ReferenceDevice(options.platform));
}

class ReferenceDevice implements Device {
  readonly name = "reference";
  readonly ops: Ops;
  private readonly platform: Platform;
  private readonly recorder = new Recorder();
  private state: "declaring" | "ready" | "disposed" = "declaring";
  private weights: ReferenceWeight[] = [];
  private reserved: KvSpec[] = [];
  private readonly stores = new Set<ReferenceKvStore>();
  private activations = 0;

  constructor(platform: Platform) {
    this.platform = platform;
    this.ops = {
      ...dataOps(this.recorder),
      ...elementwiseOps(this.recorder),
      ...rowOps(this.recorder),
      ...decoderOps(this.recorder),
      ...pictureOps(this.recorder),
      ...soundOps(this.recorder),
      gatedMatmul: (x, w, gate) => {
        shapes.gatedMatmul(x, w, gate);
        return this.ops.geluMul(gate, this.ops.matmul(x, w));
      },
    };
  }

  declareWeight(spec: WeightSpec): Weight {
    this.requireState("declaring", `declare the weight "${spec.name}"`);
    const weight = new ReferenceWeight(spec, this.recorder.device);
    this.weights.push(weight);
    return weight;
  }

  reserveKv(specs: readonly KvSpec[]): void {
    this.requireState("declaring", "reserve key-value stores");
    this.reserved.push(...specs);
  }

  plan(record: () => readonly Tensor[]): void {
    this.requireState("declaring", "plan a step");
    this.activations = Math.max(this.activations, this.recorder.plan(record));
  }

  requiredBytes(): { weights: number; kv: number; activations: number } {
    return {
      weights: this.weights.reduce((sum, w) => sum + 4 * numel(w.shape), 0),
      kv: this.reserved.reduce((sum, spec) => sum + kvBytes(spec), 0),
      activations: this.activations,
    };
  }

  allocate(): Promise<void> {
    return settle(() => {
      this.requireState("declaring", "allocate memory");
      try {
        for (const weight of this.weights) weight.allocate();
      } catch (cause) {
        const { weights, kv } = this.requiredBytes();
        throw new DeviceError(
          `Cannot allocate ${weights} bytes of weights and ${kv} bytes of ` +
            "key-value stores: use a smaller model or a shorter context",
          { cause },
        );
      }
      this.state = "ready";
    });
  }

  writeWeight(weight: Weight, rows: WeightRows): Promise<void> {
    return settle(() => {
      this.requireState("ready", "write a weight");
      if (
        !(weight instanceof ReferenceWeight) ||
        weight.device !== this.recorder.device
      ) {
        throw new InputError(
          "Cannot write a weight: it belongs to another device",
        );
      }
      weight.write(rows);
    });
  }

  createKvStore(spec: KvSpec): KvStore {
    if (this.recorder.planning) return { ...spec, kvStore: true };
    this.requireState("ready", "create a key-value store");
    const bytes = kvBytes(spec);
    const free = this.requiredBytes().kv - this.takenKv;
    if (bytes > free) {
      throw new DeviceError(
        `Cannot create a key-value store of ${bytes} bytes: ${free} of the ` +
          "reserved ones are free; free a store or reserve more",
      );
    }
    const store = new ReferenceKvStore(spec, this.recorder.device);
    this.stores.add(store);
    return store;
  }

  freeKvStore(store: KvStore): void {
    if (this.recorder.planning || this.state === "disposed") return;
    if (
      !(store instanceof ReferenceKvStore) ||
      store.device !== this.recorder.device
    ) {
      throw new InputError(
        "Cannot free a key-value store: it belongs to another device",
      );
    }
    if (!this.stores.delete(store)) {
      throw new InputError("Cannot free a key-value store: it is free already");
    }
    store.taken = false;
  }

  upload(data: Float32Array, shape: Shape): Tensor {
    return this.recorder.upload(data, shape);
  }

  async submit(options: SubmitOptions = {}): Promise<void> {
    await this.read([], options);
  }

  read(
    tensors: readonly Tensor[],
    options: SubmitOptions = {},
  ): Promise<Float32Array[]> {
    return settle(() => {
      this.requireState("ready", "run a step");
      return this.recorder.run(tensors, this.platform, options.signal);
    });
  }

  discard(): void {
    this.recorder.discard();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.state = "disposed";
    this.weights = [];
    this.reserved = [];
    this.stores.clear();
    return Promise.resolve();
  }

  private get takenKv(): number {
    let bytes = 0;
    for (const store of this.stores) bytes += kvBytes(store);
    return bytes;
  }

  private requireState(wanted: "declaring" | "ready", action: string): void {
    if (this.state === wanted) return;
    const reason = this.state === "disposed"
      ? "the device was disposed"
      : wanted === "ready"
      ? "call allocate() first"
      : "allocate() was called already";
    throw new InputError(`Cannot ${action}: ${reason}`);
  }
}

/** Turns what `action` throws into a rejection. */
async function settle<T>(action: () => T | Promise<T>): Promise<T> {
  return await action();
}
