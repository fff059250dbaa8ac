// From a user's `device` and `dtype` to devices for the parts of a model.
import type { ComputeDtype, WeightFormat } from "../core/dtype.ts";
import { DeviceError, InputError, UnsupportedError } from "../core/errors.ts";
import { numel } from "../core/shape.ts";
import type { Checkpoint } from "../io/checkpoint.ts";
import type { Device } from "../ops/device.ts";
import { createReferenceDevice } from "../ops/reference.ts";
import type { Platform } from "../platform/platform.ts";
import { GpuDevices, type GpuOption, isGpuOption } from "./gpu_devices.ts";

/** Names of devices. */
export type NamedDeviceOption = "auto" | "wasm" | "webgpu" | "reference";

/**
 * Where to compute: on the processor (`"wasm"`), or on a GPU (`"webgpu"`, or a
 * `GPU` or `GPUDevice` of the caller). `"auto"` takes a GPU where there is one
 * in hardware and the model has 100 M parameters or more, else the processor.
 */
export type DeviceOption = NamedDeviceOption | GpuOption;

/** Number format of the weights. `"auto"` is f32 below 100 M parameters, else q4. */
export type DtypeOption = "auto" | ComputeDtype;

/** Threads to compute with: a number, or `"auto"` by the processors there are. */
export type ThreadsOption = "auto" | number;

/** Devices by option, the names a message lists. */
const DEVICES: readonly NamedDeviceOption[] = [
  "auto",
  "wasm",
  "webgpu",
  "reference",
];
/** What this version computes with, for messages. */
const DTYPES: readonly DtypeOption[] = ["auto", "f32", "q8", "q4"];
/**
 * Below this, `"auto"` keeps weights in f32 and looks for no GPU, and one thread
 * computes: steps so short are over before others are awake.
 */
const AUTO_SMALL_PARAMETERS = 100e6;
/** More threads than this seldom make memory faster. */
const AUTO_MAX_THREADS = 8;
/** With more processors than this, one is left to others. */
const FEW_PROCESSORS = 4;

/** Options of {@link deviceFactory}. */
export interface DeviceFactoryOptions {
  readonly platform: Platform;
  readonly device: DeviceOption;
  /** Size of the model. */
  readonly parameters: number;
  /** Unless given, by the size of the model. */
  readonly threads: ThreadsOption | undefined;
  /** Kernels compiled by the caller. */
  readonly wasmModule: WebAssembly.Module | undefined;
  readonly warn: (warning: string) => void;
}

/**
 * Makes devices of the wanted kind.
 *
 * @throws {InputError} For an unknown name, or threads that are no number above 0.
 */
export function deviceFactory(
  {
    platform,
    device,
    parameters,
    threads: wanted,
    wasmModule: module,
    warn,
  }: DeviceFactoryOptions,
): () => Promise<Device> {
  const byDefault = parameters < AUTO_SMALL_PARAMETERS ? 1 : "auto";
  const threads = resolveThreads(wanted ?? byDefault, platform);
  const createWasm = async () => {
    const { createWasmDevice } = await import("../backends/wasm/device.ts");
    const { isThreaded } = await import("../backends/wasm/kernel_module.ts");
    // The caller's build for one thread needs no warning that it is one.
    const mayShare = wanted !== undefined || module === undefined ||
      isThreaded(module);
    return await createWasmDevice({
      platform,
      threads: mayShare ? threads : 1,
      module,
      onWarning: warn,
    });
  };
  if (isGpuOption(device)) return gpuFactory(new GpuDevices(platform, device));
  switch (device) {
    case "reference":
      return () => createReferenceDevice({ platform });
    case "wasm":
      return createWasm;
    case "webgpu":
      return gpuFactory(new GpuDevices(platform));
    case "auto":
      // Even looking for one takes time, and drivers print what they miss.
      if (parameters < AUTO_SMALL_PARAMETERS) return createWasm;
      return autoFactory(new GpuDevices(platform), createWasm, warn);
    default:
      throw unknownDevice(device satisfies never);
  }
}

function gpuFactory(gpus: GpuDevices): () => Promise<Device> {
  return () => gpus.create();
}

/** All devices are of the kind that the first one gets. */
function autoFactory(
  gpus: GpuDevices,
  createWasm: () => Promise<Device>,
  warn: (warning: string) => void,
): () => Promise<Device> {
  let useGpu: boolean | undefined;
  return async () => {
    useGpu ??= await gpus.isHardware();
    if (!useGpu) return await createWasm();
    try {
      return await gpus.create();
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      useGpu = false;
      warn(`The processor computes, not the GPU: ${error.message}`);
      return await createWasm();
    }
  };
}

/**
 * Decides the number of threads: as many as there are processors, at most 8,
 * less one above 4. Where a runtime has no threads, `"auto"` is 1.
 *
 * @throws {InputError} When it is no whole number above 0.
 */
export function resolveThreads(
  threads: ThreadsOption,
  { availableParallelism, startWorker }: Platform,
): number {
  if (threads === "auto") {
    const possible = startWorker !== undefined &&
      typeof SharedArrayBuffer !== "undefined";
    if (!possible) return 1;
    const most = Math.min(availableParallelism, AUTO_MAX_THREADS);
    return Math.max(1, most > FEW_PROCESSORS ? most - 1 : most);
  }
  if (Number.isInteger(threads) && threads > 0) return threads;
  throw new InputError(
    `Cannot compute with threads = ${threads}: wanted a whole number above 0, ` +
      'or "auto"',
  );
}

function unknownDevice(device: string): Error {
  const known = DEVICES.map((name) => `"${name}"`).join(", ");
  return new InputError(
    `Cannot compute on "${device}": wanted one of ${known}, a GPU or a GPUDevice`,
  );
}

/**
 * Decides the number format. A large checkpoint whose weights are stored in
 * blocks of eight bits keeps them.
 *
 * @throws {UnsupportedError} For "f16", which this version has not.
 * @throws {InputError} For an unknown name.
 */
export function resolveDtype(
  dtype: DtypeOption,
  checkpoint: Checkpoint,
): WeightFormat {
  switch (dtype) {
    case "auto":
      if (countParameters(checkpoint) < AUTO_SMALL_PARAMETERS) return "f32";
      return isStoredInEightBits(checkpoint) ? "q8" : "q4";
    case "f32":
    case "q8":
    case "q4":
      return dtype;
    default:
      throw unknownDtype(dtype);
  }
}

function unknownDtype(dtype: string): Error {
  const known = DTYPES.map((name) => `"${name}"`).join(", ");
  return dtype === "f16"
    ? new UnsupportedError(
      `Cannot compute with weights in "f16": this version has ${known}`,
    )
    : new InputError(
      `Cannot compute with weights in "${dtype}": wanted one of ${known}`,
    );
}

function isStoredInEightBits(checkpoint: Checkpoint): boolean {
  const dtypes = new Set(
    checkpoint.names().map((name) => checkpoint.get(name).dtype),
  );
  const fewerBits = ["q4_0", "q4_k", "q5_k", "q6_k"] as const;
  return dtypes.has("q8_0") && !fewerBits.some((dtype) => dtypes.has(dtype));
}

/** Number of values in all tensors. */
export function countParameters(checkpoint: Checkpoint): number {
  return checkpoint.names().reduce(
    (sum, name) => sum + numel(checkpoint.get(name).shape),
    0,
  );
}
