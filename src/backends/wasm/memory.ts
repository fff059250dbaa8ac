// One WebAssembly memory, sized once: the module's stack and data, the workers'
// stacks, the weights, the key-value stores, and what a step needs.
import { DeviceError } from "../../core/errors.ts";
import { type KernelExports, MODULE_BYTES } from "./kernel_module.ts";
import { ALIGNMENT } from "./planner.ts";
import type { Pool } from "./pool.ts";

const PAGE_BYTES = 65536;
/** What 32-bit addresses reach. */
const MAX_BYTES = 2 ** 32;
/** The cursor of the queue. */
export const CURSOR_BYTES: number = ALIGNMENT;
/** Stack of a worker. */
export const STACK_BYTES = 65536;
/** What the workers share, see rust/kernels/src/exports_threads.rs. */
const POOL_BYTES = 512;

/** Bytes of each part whose size the caller's model decides. */
export interface RegionBytes {
  readonly weights: number;
  readonly kv: number;
  readonly activations: number;
}

/** Where each part starts. */
export interface Layout {
  /** Schedule of the workers, and the first of their stacks. */
  readonly pool: number;
  readonly stacks: number;
  readonly weights: number;
  readonly kv: number;
  readonly cursor: number;
  readonly activations: number;
  readonly end: number;
}

/** Puts the parts one after another, for so many workers. */
export function layOut(
  { weights, kv, activations }: RegionBytes,
  workers = 0,
): Layout {
  const pool = MODULE_BYTES;
  const stacks = pool + POOL_BYTES;
  const weightsStart = stacks + workers * STACK_BYTES;
  const kvStart = weightsStart + weights;
  const cursor = kvStart + kv;
  const activationsStart = cursor + CURSOR_BYTES;
  return {
    pool,
    stacks,
    weights: weightsStart,
    kv: kvStart,
    cursor,
    activations: activationsStart,
    end: activationsStart + activations,
  };
}

/** Whether memory can be shared between threads here. */
export function sharedMemoryWorks(): boolean {
  // Browsers hide it from pages without cross-origin isolation.
  if (typeof SharedArrayBuffer === "undefined") return false;
  try {
    const limits = { initial: 1, maximum: 1, shared: true };
    return new WebAssembly.Memory(limits).buffer instanceof SharedArrayBuffer;
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) return false;
    throw error;
  }
}

/** Options of {@link takeMemory}. */
export interface MemoryOptions {
  /** Whether threads share it. Default false. */
  readonly shared?: boolean;
}

/**
 * Takes the memory.
 *
 * @throws {DeviceError} When it exceeds what WebAssembly addresses, or the
 * machine has not got it.
 */
export function takeMemory(
  layout: Layout,
  bytes: RegionBytes,
  { shared = false }: MemoryOptions = {},
): WebAssembly.Memory {
  requireAddressable(layout, bytes);
  const pages = pagesOf(layout);
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared });
  } catch (cause) {
    throw new DeviceError(
      `Cannot reserve ${figures(layout, bytes)}: the runtime refused it; ` +
        "close other programs, or use a smaller dtype, contextLength or " +
        "maxBatchSize",
      { cause },
    );
  }
}

/**
 * Checks that 32-bit addresses reach everything.
 *
 * @throws {DeviceError} When they do not, with the figures.
 */
export function requireAddressable(layout: Layout, bytes: RegionBytes): void {
  if (pagesOf(layout) * PAGE_BYTES <= MAX_BYTES) return;
  throw new DeviceError(
    `Cannot reserve ${figures(layout, bytes)}: at most ` +
      `${megabytes(MAX_BYTES)} can be addressed; use a smaller dtype, ` +
      "contextLength or maxBatchSize",
  );
}

function pagesOf({ end }: Layout): number {
  return Math.ceil(end / PAGE_BYTES);
}

function figures(
  { end }: Layout,
  { weights, kv, activations }: RegionBytes,
): string {
  return `${megabytes(end)} of WebAssembly memory (weights ` +
    `${megabytes(weights)}, key-value stores ${megabytes(kv)}, activations ` +
    `${megabytes(activations)})`;
}

/** Spells bytes for messages. */
export function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** Memory and kernels of a device that has been allocated. */
export interface Engine {
  readonly memory: WebAssembly.Memory;
  readonly kernels: KernelExports;
  readonly layout: Layout;
  /** Threads that compute; without, the calling thread does. */
  readonly pool: Pool | undefined;
  /** Who computes chunks at the same time: threads, or the calling one. */
  readonly workers: number;
}
