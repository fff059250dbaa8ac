// Devices on a GPU: the parts of a model share it, and the last one that is
// disposed gives it back.
import { DeviceError } from "../core/errors.ts";
import type { Device } from "../ops/device.ts";
import type { Platform } from "../platform/platform.ts";
import { isSoftware } from "../backends/webgpu/adapter.ts";
import type { WebGpuContext } from "../backends/webgpu/context.ts";
import type { WebGpuDevice } from "../backends/webgpu/device.ts";
import type { GpuInfo } from "../backends/webgpu/gpu_info.ts";

/** A GPU the caller brings: the entry to all of them, or one that is open. */
export type GpuOption = GPU | GPUDevice;

/** Whether this is a {@link GpuOption}. */
export function isGpuOption(device: unknown): device is GpuOption {
  return typeof device === "object" && device !== null &&
    ("requestAdapter" in device || "createCommandEncoder" in device);
}

/** The devices that were made, and their GPUs. */
const made = new WeakMap<Device, MadeDevice>();

interface MadeDevice {
  readonly device: WebGpuDevice;
  readonly context: WebGpuContext;
}

/** What the GPU of a device is; `undefined` where it computes on the processor. */
export async function deviceGpuInfo(
  device: Device,
): Promise<GpuInfo | undefined> {
  const known = made.get(device);
  if (known === undefined) return undefined;
  const { gpuInfo } = await import("../backends/webgpu/gpu_info.ts");
  return gpuInfo(known.context);
}

/** A device as one on a GPU; `undefined` where it computes on the processor. */
export function asWebGpuDevice(device: Device): WebGpuDevice | undefined {
  return made.get(device)?.device;
}

/** Makes devices that share a GPU. */
export class GpuDevices {
  private readonly platform: Platform;
  private readonly given: GpuOption | undefined;
  private context: Promise<WebGpuContext> | undefined;
  private users = 0;

  constructor(platform: Platform, given?: GpuOption) {
    this.platform = platform;
    this.given = given;
  }

  /**
   * Makes a device.
   *
   * @throws {DeviceError} When there is no GPU.
   */
  async create(): Promise<Device> {
    this.users++;
    try {
      const { createWebGpuDevice } = await import(
        "../backends/webgpu/device.ts"
      );
      const context = await (this.context ??= this.open());
      const device = createWebGpuDevice({
        platform: this.platform,
        context,
        onDispose: () => void this.release(),
      });
      made.set(device, { device, context });
      return device;
    } catch (error) {
      await this.release();
      throw error;
    }
  }

  /** Whether there is a GPU that is no program on the processor. */
  async isHardware(): Promise<boolean> {
    const gpu = await this.platform.gpu?.();
    const adapter = await gpu?.requestAdapter({
      powerPreference: "high-performance",
    });
    return adapter ? !isSoftware(adapter.info) : false;
  }

  private async open(): Promise<WebGpuContext> {
    const source = this.given ?? await this.platform.gpu?.();
    if (!source) {
      const { name } = this.platform;
      throw new DeviceError(
        `Cannot compute on "webgpu": ${name} offers no GPU; ` +
          (name === "node" || name === "bun"
            ? 'install the npm package "webgpu"'
            : "use a runtime with WebGPU") +
          ', or use the device "wasm"',
      );
    }
    const { openGpu } = await import("../backends/webgpu/context.ts");
    return await openGpu(source);
  }

  private async release(): Promise<void> {
    if (--this.users > 0) return;
    const { context } = this;
    this.context = undefined;
    try {
      (await context)?.destroy();
    } catch (error) {
      // That it could not be opened was told to whoever asked for a device.
      if (!(error instanceof DeviceError)) throw error;
    }
  }
}
