// Brings values from the GPU to the host.
import { BUFFER_USAGE, MAP_READ } from "./flags.ts";

/** How a runtime maps buffers. */
export interface ReadbackOptions {
  /**
   * Whether `mapAsync()` returns only when the buffer is mapped, though its
   * promise resolves much later: Deno waits 10 ms before it looks.
   */
  readonly mapsAtOnce: boolean;
}

/** A buffer that results are copied to, and read from. */
export class Readback {
  private readonly gpu: GPUDevice;
  private readonly mapsAtOnce: boolean;
  private staging: GPUBuffer | undefined;

  constructor(gpu: GPUDevice, { mapsAtOnce }: ReadbackOptions) {
    this.gpu = gpu;
    this.mapsAtOnce = mapsAtOnce;
  }

  /** A buffer of at least this size to copy to. */
  async reserve(bytes: number): Promise<GPUBuffer> {
    if (this.staging && this.staging.size >= bytes) return this.staging;
    this.staging?.destroy();
    const staging = this.gpu.createBuffer({
      label: "readback",
      size: 2 ** Math.ceil(Math.log2(bytes)), // seldom made anew
      usage: BUFFER_USAGE.mapRead | BUFFER_USAGE.copyTarget,
    });
    // Without a first mapping that was waited for, Deno ends the process.
    if (this.mapsAtOnce) {
      await staging.mapAsync(MAP_READ);
      staging.unmap();
    }
    return this.staging = staging;
  }

  /** What was copied to the buffer, once everything submitted is done. */
  async read(bytes: number): Promise<ArrayBuffer> {
    const staging = this.staging!;
    const mapped = staging.mapAsync(MAP_READ, 0, bytes);
    if (this.mapsAtOnce) mapped.catch(() => {}); // unmap() below ends it
    else await mapped;
    try {
      return staging.getMappedRange(0, bytes).slice(0);
    } catch (error) {
      await mapped; // tells why, as does the loss of the GPU meanwhile
      throw error;
    } finally {
      staging.unmap();
    }
  }

  /** Gives the memory back. */
  destroy(): void {
    this.staging?.destroy();
    this.staging = undefined;
  }
}
