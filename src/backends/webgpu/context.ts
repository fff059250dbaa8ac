// A GPU that was opened: its device, its limits, compiled kernels. Devices of
// one model share it.
import { DeviceError } from "../../core/errors.ts";
import { type SubgroupFeatures, testSubgroups } from "./features.ts";
import { Pipelines } from "./pipelines.ts";

/** Limits of a GPU that decide what fits and which kernels run. */
export type GpuLimitName =
  | "maxBufferSize"
  | "maxStorageBufferBindingSize"
  | "maxComputeWorkgroupStorageSize"
  | "maxComputeInvocationsPerWorkgroup"
  | "maxComputeWorkgroupSizeX"
  | "maxStorageBuffersPerShaderStage";

/** Limits that are wanted beyond what every GPU has. */
export const WANTED_LIMITS: readonly GpuLimitName[] = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxStorageBuffersPerShaderStage",
];

/** Makes kernels faster where it is. Deno has it, though its adapters do not list it. */
const SUBGROUPS = "subgroups" as GPUFeatureName;
/** Of use to kernels, though ours do without: of interest to people who compare GPUs. */
const COMPUTE_FEATURES: readonly string[] = ["shader-f16", "timestamp-query"];

/** A GPU that was opened. */
export class WebGpuContext {
  readonly gpu: GPUDevice;
  readonly limits: GPUSupportedLimits;
  readonly pipelines: Pipelines;
  readonly subgroups: SubgroupFeatures;
  /** Which of the features for computing could have been asked for. */
  readonly listedFeatures: readonly string[];
  /** Whether `destroy()` ends the device; one the caller brought lives on. */
  private readonly owned: boolean;
  /** Why nothing more can be computed. */
  private failure: string | undefined;
  private readonly failed: Promise<never>;

  constructor(
    gpu: GPUDevice,
    { subgroups, listed, owned }: {
      readonly subgroups: SubgroupFeatures;
      readonly listed: ReadonlySet<string>;
      readonly owned: boolean;
    },
  ) {
    this.subgroups = subgroups;
    this.listedFeatures = COMPUTE_FEATURES.filter((name) => listed.has(name));
    this.gpu = gpu;
    this.owned = owned;
    this.limits = gpu.limits;
    this.pipelines = new Pipelines(gpu);
    this.failed = gpu.lost.then(({ reason, message }) => {
      this.failure = `the GPU was lost (${reason || "unknown"}): ${message}`;
      throw this.error("go on");
    });
    this.failed.catch(() => {}); // told to whoever computes
    gpu.addEventListener("uncapturederror", (event) => {
      event.preventDefault(); // told to whoever computes
      this.failure ??= (event as GPUUncapturedErrorEvent).error.message;
    });
  }

  /** Calls `work`, which fails once the GPU is lost or refuses something. */
  async guard<T>(action: string, work: () => Promise<T>): Promise<T> {
    this.requireWorking(action);
    try {
      return await Promise.race([work(), this.failed]);
    } catch (cause) {
      if (cause instanceof DeviceError) throw cause;
      // A mapping may be refused before its reason is told.
      this.failure ??= cause instanceof Error ? cause.message : String(cause);
      throw this.error(action, cause);
    }
  }

  /**
   * Calls `encode`, which gives work to the GPU. What the GPU refuses is
   * waited for when something new was made; later only told by the next call,
   * since the same work was accepted before.
   */
  async checked(action: string, encode: () => void): Promise<void> {
    this.requireWorking(action);
    const { made } = this.pipelines;
    const before = made.pipelines + made.bindGroups;
    this.gpu.pushErrorScope("validation");
    try {
      encode();
    } finally {
      const refused = this.gpu.popErrorScope().then((error) => {
        if (error) this.failure ??= error.message;
      });
      if (made.pipelines + made.bindGroups > before) await refused;
    }
    this.requireWorking(action);
  }

  /**
   * Checks that the GPU is there.
   *
   * @throws {DeviceError} When it was lost or refused something before.
   */
  requireWorking(action: string): void {
    if (this.failure !== undefined) throw this.error(action);
  }

  /** Ends the GPU's device. */
  destroy(): void {
    if (this.owned) this.gpu.destroy();
  }

  private error(action: string, cause?: unknown): DeviceError {
    return new DeviceError(
      `Cannot ${action}: ${this.failure}; load the model again`,
      cause === undefined ? {} : { cause },
    );
  }
}

/** Who opens the GPU: the runtime's `navigator.gpu`, or a device a caller made. */
export type GpuSource = GPU | GPUDevice;

/** Contexts of devices that callers brought: models on one share its kernels. */
const shared = new WeakMap<GPUDevice, Promise<WebGpuContext>>();

/**
 * Opens a GPU.
 *
 * @throws {DeviceError} When there is none.
 */
export async function openGpu(source: GpuSource): Promise<WebGpuContext> {
  if (!("requestAdapter" in source)) {
    const known = shared.get(source);
    if (known) return await known;
    const context = openContext(source, source.features, false);
    shared.set(source, context);
    return await context;
  }
  const adapter = await source.requestAdapter({
    powerPreference: "high-performance",
  });
  if (adapter === null) {
    throw new DeviceError(
      'Cannot compute on "webgpu": the runtime has no adapter for a GPU; ' +
        'install a driver for Vulkan, Metal or Direct3D 12, or use the device "wasm"',
    );
  }
  const gpu = await requestDevice(adapter);
  return await openContext(gpu, adapter.features, true);
}

async function openContext(
  gpu: GPUDevice,
  listed: ReadonlySet<string>,
  owned: boolean,
): Promise<WebGpuContext> {
  const subgroups = await testSubgroups(gpu);
  return new WebGpuContext(gpu, { subgroups, listed, owned });
}

async function requestDevice(adapter: GPUAdapter): Promise<GPUDevice> {
  const requiredLimits = Object.fromEntries(
    WANTED_LIMITS.map((name) => [name, adapter.limits[name]]),
  );
  const request = (requiredFeatures: GPUFeatureName[]) =>
    adapter.requestDevice({ requiredLimits, requiredFeatures });
  try {
    // Other runtimes refuse what is not listed, and the adapter stays usable.
    return await request([SUBGROUPS]).catch(() => request([]));
  } catch (cause) {
    throw new DeviceError(
      'Cannot compute on "webgpu": the adapter gave no device; close other ' +
        'programs that use the GPU, or use the device "wasm"',
      { cause },
    );
  }
}
