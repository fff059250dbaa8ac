// Takes GPU memory, and says with figures why it cannot.
import { DeviceError } from "../../core/errors.ts";
import type { WebGpuContext } from "./context.ts";
import { BUFFER_USAGE } from "./flags.ts";
import { MIN_BINDING_BYTES } from "./pipelines.ts";
import { GpuMemory, type Region } from "./tensors.ts";

/** What a device takes. */
export interface MemoryBytes {
  readonly weights: number;
  readonly kv: number;
  readonly activations: number;
}

/** Takes a buffer that kernels read and write and the host fills; it holds whole bindings. */
export function takeBuffer(
  { gpu }: WebGpuContext,
  label: string,
  bytes: number,
): GpuMemory {
  const { storage, uniform, copySource, copyTarget } = BUFFER_USAGE;
  const size = MIN_BINDING_BYTES *
    Math.max(1, Math.ceil(bytes / MIN_BINDING_BYTES));
  const usage = storage | uniform | copySource | copyTarget;
  return new GpuMemory(gpu.createBuffer({ label, size, usage }));
}

/** Takes the buffer of a region. */
export function takeRegion(
  context: WebGpuContext,
  label: string,
  region: Region,
): void {
  region.memory = takeBuffer(context, label, region.bytes);
}

/**
 * Calls `take`, which takes memory.
 *
 * @throws {DeviceError} When the GPU has not got it.
 */
export async function takeMemory(
  { gpu }: WebGpuContext,
  needed: MemoryBytes,
  take: () => void,
): Promise<void> {
  gpu.pushErrorScope("validation");
  gpu.pushErrorScope("out-of-memory");
  let thrown: unknown;
  try {
    take();
  } catch (error) {
    thrown = error; // the scopes must be taken off first
  }
  const outOfMemory = gpu.popErrorScope();
  const invalid = gpu.popErrorScope();
  const problem = await outOfMemory ?? await invalid;
  if (problem === null && thrown === undefined) return;
  const { weights, kv, activations } = needed;
  throw new DeviceError(
    `Cannot reserve ${megabytes(weights + kv + activations)} on the GPU ` +
      `(weights ${megabytes(weights)}, key-value stores ${megabytes(kv)}, ` +
      `activations ${megabytes(activations)}): ` +
      `${problem?.message ?? String(thrown)}; use a smaller dtype, ` +
      'contextLength or maxBatchSize, or the device "wasm"',
    { cause: thrown },
  );
}

/** Spells bytes for messages. */
export function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
