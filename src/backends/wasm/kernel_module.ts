// The kernel module: compiled once from the bytes inside this package, and
// instantiated over the memory of each device.
import { DeviceError } from "../../core/errors.ts";
import { kernelsBase64 } from "../../../wasm/kernels.ts";

/** Functions of the kernel module; addresses are byte offsets in its memory. */
export interface KernelExports {
  /** Runs chunks until their cost exceeds the budget; 1 when the queue is done. */
  execute(
    commands: number,
    count: number,
    cursor: number,
    budget: number,
  ): number;
  /** Elements of type 0 (f32), 1 (f16) or 2 (bf16) to f32. */
  decode(from: number, dtype: number, to: number, count: number): void;
  /** Elements `first ..` of a matrix `[F, K / taps, taps]` into tiles. */
  pack_matrix(
    from: number,
    count: number,
    first: number,
    to: number,
    size: number,
    k: number,
    taps: number,
  ): void;
  /** Elements `first ..` of filters `[C, taps]` into `[taps, C]`. */
  pack_filters(
    from: number,
    count: number,
    first: number,
    to: number,
    size: number,
    taps: number,
  ): void;
  readonly __heap_base: WebAssembly.Global;
}

/** Bytes at the start of the memory for the module's stack and data. */
export const MODULE_BYTES: number = 2 * 65536;

let compiled: Promise<WebAssembly.Module> | undefined;

/** Compiles the built-in module, once. */
export function compileKernels(): Promise<WebAssembly.Module> {
  compiled ??= WebAssembly.compile(decodeBase64(kernelsBase64));
  return compiled;
}

/**
 * Instantiates the module over a memory.
 *
 * @throws {DeviceError} When the module is not the one this code was made for.
 */
export async function instantiateKernels(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
): Promise<KernelExports> {
  let instance: WebAssembly.Instance;
  try {
    instance = await WebAssembly.instantiate(module, { env: { memory } });
  } catch (cause) {
    throw new DeviceError(
      "Cannot start the kernels: the runtime refused their WebAssembly " +
        "module; it needs SIMD",
      { cause },
    );
  }
  const exports = instance.exports as unknown as KernelExports;
  const end = Number(exports.__heap_base?.value);
  if (!(end <= MODULE_BYTES)) {
    throw new DeviceError(
      `Cannot start the kernels: their data ends at ${end}, wanted at most ` +
        `${MODULE_BYTES}; pass the module that belongs to this version`,
    );
  }
  return exports;
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
