// What benches share: bounds of the machine measured in the same run, the best
// of several timings, and one line of report for each case.
import {
  compileKernels,
  instantiateKernels,
  MODULE_BYTES,
} from "../src/backends/wasm/kernel_module.ts";
import type { Shape } from "../src/core/shape.ts";
import { formatShape } from "../src/core/shape.ts";

/** What the machine can do at most, on one thread. */
export interface Bounds {
  /** Bytes read from memory in a second. */
  readonly bytesPerSecond: number;
  /** f32 multiply-adds in a second, four lanes at a time, not fused. */
  readonly multiplyAddsPerSecond: number;
  /** Multiply-adds of bytes in a second, by the fastest products there are. */
  readonly byteMultiplyAddsPerSecond: number;
}

/** One timed thing. */
export interface Timing {
  readonly name: string;
  readonly device: string;
  readonly dtype: string;
  readonly shape: Shape;
  readonly seconds: number;
  /** Bytes that must be read or written at least. */
  readonly bytes: number;
  readonly multiplyAdds: number;
}

/** Shortest of several runs, in seconds; `run` is called at least `times` times. */
export async function bestOf(
  times: number,
  run: () => Promise<void> | void,
): Promise<number> {
  await run();
  let best = Infinity;
  for (let i = 0; i < times; i++) {
    const started = performance.now();
    await run();
    best = Math.min(best, performance.now() - started);
  }
  return best / 1000;
}

const READ_BYTES = 256 * 2 ** 20;
const ROUNDS = 1_000_000;
const MULTIPLY_ADDS_PER_ROUND = 48;
const BYTE_MULTIPLY_ADDS_PER_ROUND = 128;

/** Functions of the kernel module that only benches call. */
interface BoundExports {
  bound_read(from: number, count: number): number;
  bound_multiply_add(rounds: number, factor: number): number;
  bound_multiply_bytes(rounds: number, byte: number): number;
}

/** Measures what the machine can do at most. */
export async function measureBounds(): Promise<Bounds> {
  const pages = (MODULE_BYTES + READ_BYTES) / 65536;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  new Uint8Array(memory.buffer, MODULE_BYTES).fill(1);
  const kernels = await instantiateKernels(await compileKernels(), memory);
  const bounds = kernels as unknown as BoundExports;
  const read = await bestOf(9, () => {
    bounds.bound_read(MODULE_BYTES, READ_BYTES / 4);
  });
  const compute = await bestOf(9, () => {
    bounds.bound_multiply_add(ROUNDS, 0.5);
  });
  const bytes = await bestOf(9, () => {
    bounds.bound_multiply_bytes(ROUNDS, 3);
  });
  return {
    bytesPerSecond: READ_BYTES / read,
    multiplyAddsPerSecond: ROUNDS * MULTIPLY_ADDS_PER_ROUND / compute,
    byteMultiplyAddsPerSecond: ROUNDS * BYTE_MULTIPLY_ADDS_PER_ROUND / bytes,
  };
}

/** Prints the bounds. */
export function reportBounds(bounds: Bounds): void {
  const read = (bounds.bytesPerSecond / 1e9).toFixed(1);
  const compute = (bounds.multiplyAddsPerSecond / 1e9).toFixed(1);
  const bytes = (bounds.byteMultiplyAddsPerSecond / 1e9).toFixed(1);
  console.log(
    `bounds: ${read} GB/s read, ${compute} G multiply-adds/s of f32, ` +
      `${bytes} of bytes, one thread`,
  );
}

/**
 * Prints a timing and its share of the bound that is nearer. What fits into
 * the caches can exceed the bound of memory.
 */
export function report(timing: Timing, bounds: Bounds): void {
  const { name, device, dtype, shape, seconds, bytes, multiplyAdds } = timing;
  const byMemory = bytes / bounds.bytesPerSecond / seconds;
  const rate = dtype === "f32"
    ? bounds.multiplyAddsPerSecond
    : bounds.byteMultiplyAddsPerSecond;
  const byCompute = multiplyAdds / rate / seconds;
  const share = byMemory > byCompute
    ? `${percent(byMemory)} of read, ${(bytes / seconds / 1e9).toFixed(1)} GB/s`
    : `${percent(byCompute)} of multiply-add, ${
      (multiplyAdds / seconds / 1e9).toFixed(1)
    } G/s`;
  console.log(
    `${name.padEnd(28)} ${device.padEnd(9)} ${dtype.padEnd(3)} ${
      formatShape(shape).padEnd(18)
    } ${(seconds * 1000).toFixed(4).padStart(10)} ms  ${share}`,
  );
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}
