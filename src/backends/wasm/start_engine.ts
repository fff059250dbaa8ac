// Takes the memory of a device and starts its kernels: with threads where they
// were asked for and work, else on the calling thread.
import type { Platform } from "../../platform/platform.ts";
import {
  compileKernels,
  instantiateKernels,
  isThreaded,
} from "./kernel_module.ts";
import {
  type Engine,
  layOut,
  type RegionBytes,
  requireAddressable,
  sharedMemoryWorks,
  takeMemory,
} from "./memory.ts";
import { Pool } from "./pool.ts";

/** How a device computes. */
export interface EngineOptions {
  readonly platform: Platform;
  /** Threads that compute. */
  readonly threads: number;
  /** The caller's kernels. */
  readonly module?: WebAssembly.Module | undefined;
  /** Time for the threads to be ready. */
  readonly startLimitMs?: number | undefined;
  /** Told why there is one thread where more were asked for. */
  readonly onWarning?: ((warning: string) => void) | undefined;
}

/**
 * Takes the memory and starts the kernels.
 *
 * @throws {DeviceError} When there is not enough memory, or the module is not
 * the one this code was made for.
 */
export async function startEngine(
  options: EngineOptions,
  bytes: RegionBytes,
): Promise<Engine> {
  const { threads, onWarning } = options;
  // One thread would fit no better, and need not be warned of.
  requireAddressable(layOut(bytes), bytes);
  if (threads > 1) {
    const obstacle = findObstacle(options);
    if (obstacle === undefined) {
      try {
        return await startThreads(options, bytes);
      } catch (error) {
        onWarning?.(oneThread(threads, (error as Error).message));
      }
    } else onWarning?.(oneThread(threads, obstacle));
  }
  const module = options.module ?? await compileKernels();
  return await startKernels(module, bytes, 0);
}

function oneThread(threads: number, why: string): string {
  return `Threads: computing with 1 instead of ${threads}; ${why}`;
}

/** What stands in the way of threads here. */
function findObstacle(
  { platform, module }: EngineOptions,
): string | undefined {
  if (platform.startWorker === undefined) return "this runtime has none";
  if (!sharedMemoryWorks()) {
    return "there is no shared memory; a page needs the headers for " +
      "cross-origin isolation";
  }
  if (module !== undefined && !isThreaded(module)) {
    return 'the "module" that was passed is the build for one';
  }
  return undefined;
}

async function startThreads(
  { platform, threads, module: own, startLimitMs }: EngineOptions,
  bytes: RegionBytes,
): Promise<Engine> {
  const module = own ?? await compileKernels({ threads: true });
  const engine = await startKernels(module, bytes, threads);
  const pool = await Pool.start({
    ...engine,
    platform,
    module,
    threads,
    startLimitMs,
  });
  return { ...engine, pool, workers: threads };
}

async function startKernels(
  module: WebAssembly.Module,
  bytes: RegionBytes,
  workers: number,
): Promise<Engine> {
  const layout = layOut(bytes, workers);
  const memory = takeMemory(layout, bytes, { shared: isThreaded(module) });
  const kernels = await instantiateKernels(module, memory);
  return { memory, kernels, layout, pool: undefined, workers: 1 };
}
