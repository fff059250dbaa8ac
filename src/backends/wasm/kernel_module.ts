// The kernel module: compiled once from the bytes inside this package, and
// instantiated over the memory of each device.
//
// There are four builds of one source, with threads and without. Relaxed SIMD multiplies quantised weights
// faster, but not every runtime has it, and some get it wrong: it is used where
// it compiles and a trial of its products comes out right.
import { DeviceError } from "../../core/errors.ts";

/** Functions of the kernel module; addresses are byte offsets in its memory. */
export interface KernelExports {
  /** Runs chunks until their cost exceeds the budget; 1 when the queue is done. */
  execute(
    commands: number,
    count: number,
    cursor: number,
    budget: number,
  ): number;
  /** Chooses among the products of bytes that the machine has; -1 when it gets one wrong. */
  probe_products(): number;
  readonly __heap_base: WebAssembly.Global;
}

/** What the threaded builds have besides. */
export interface ThreadExports extends KernelExports {
  /** Hands a step to the workers of a pool. */
  start(pool: number, commands: number, count: number): void;
  /** Works until the pool is stopped. */
  work(pool: number, worker: number, workers: number, spins: number): void;
  /** Makes the workers return. */
  stop(pool: number): void;
  /** Turns four f32 x into 3 x + 1. */
  probe(values: number): void;
  readonly __stack_pointer: WebAssembly.Global;
}

/** Options of {@link compileKernels}. */
export interface KernelOptions {
  /** With the code of workers; its memory must be shared. Default false. */
  readonly threads?: boolean;
}

const PAGE_BYTES = 65536;
/** Bytes at the start of the memory for the module's stack and data. */
export const MODULE_BYTES: number = 2 * PAGE_BYTES;
const WRONG_PRODUCTS = -1;

/** The built-in modules, base64. */
const BUILDS = {
  plain: () => import("../../../wasm/kernels.ts"),
  plainThreads: () => import("../../../wasm/kernels_threads.ts"),
  relaxed: () => import("../../../wasm/kernels_relaxed.ts"),
  relaxedThreads: () => import("../../../wasm/kernels_relaxed_threads.ts"),
} as const;

const compiled = new Map<boolean, Promise<WebAssembly.Module>>();

/** Compiles the build that suits the runtime, once. */
export function compileKernels(
  { threads = false }: KernelOptions = {},
): Promise<WebAssembly.Module> {
  let module = compiled.get(threads);
  if (module === undefined) {
    module = compileBest(threads);
    compiled.set(threads, module);
  }
  return module;
}

async function compileBest(threads: boolean): Promise<WebAssembly.Module> {
  const relaxed = await readBuild(threads ? "relaxedThreads" : "relaxed");
  if (WebAssembly.validate(relaxed)) {
    const module = await WebAssembly.compile(relaxed);
    if (await multipliesRight(module)) return module;
  }
  const plain = await readBuild(threads ? "plainThreads" : "plain");
  return await WebAssembly.compile(plain);
}

async function readBuild(
  build: keyof typeof BUILDS,
): Promise<Uint8Array<ArrayBuffer>> {
  return decodeBase64((await BUILDS[build]()).base64);
}

/** Whether a module is a threaded build. */
export function isThreaded(module: WebAssembly.Module): boolean {
  return WebAssembly.Module.exports(module)
    .some(({ name }) => name === "work");
}

/**
 * Whether a build's products of bytes come out right.
 *
 * @throws {DeviceError} When it is not a build of the kernels.
 */
export async function multipliesRight(
  module: WebAssembly.Module,
): Promise<boolean> {
  const pages = MODULE_BYTES / PAGE_BYTES;
  const memory = new WebAssembly.Memory({
    initial: pages,
    maximum: pages,
    shared: isThreaded(module),
  });
  const kernels = await instantiate(module, memory);
  return kernels.probe_products() !== WRONG_PRODUCTS;
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
  const kernels = await instantiate(module, memory);
  if (kernels.probe_products() === WRONG_PRODUCTS) {
    throw new DeviceError(
      "Cannot start the kernels: the runtime multiplies bytes wrong with " +
        "relaxed SIMD; pass the module without it",
    );
  }
  return kernels;
}

async function instantiate(
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
