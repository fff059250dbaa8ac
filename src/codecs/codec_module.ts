// The WebAssembly module of rust/codecs: loaded at first use, one task at a
// time, replaced by a fresh instance when a task breaks it.
import { DeviceError, InputError } from "../core/errors.ts";
import type * as Bindings from "../../wasm/codecs.js";

/** The module's functions and classes. */
export type CodecBindings = typeof Bindings;

/** Options of {@link loadCodecs}. */
export interface LoadCodecsOptions {
  /**
   * The bytes of wasm/codecs_module.ts as a compiled module, where a runtime
   * forbids compiling. Default: compiled at first use.
   */
  readonly module?: WebAssembly.Module | undefined;
}

// An instance's memory never shrinks; beyond this it is replaced after the
// task that made it grow.
const MAX_IDLE_MEMORY_BYTES = 32 * 2 ** 20;

let loading: Promise<CodecBindings> | undefined;
let lastTask: Promise<unknown> = Promise.resolve();

/**
 * Loads the codecs, unless they are loaded. Calling it is needed only to pass
 * a module, before anything is decoded: the functions that decode load the
 * codecs themselves.
 *
 * @throws {DeviceError} When WebAssembly cannot be compiled here.
 */
export async function loadCodecs(
  options: LoadCodecsOptions = {},
): Promise<void> {
  await bindings(options);
}

function bindings(options: LoadCodecsOptions): Promise<CodecBindings> {
  loading ??= load(options).catch((cause) => {
    loading = undefined;
    throw new DeviceError(
      `Cannot load the codecs: ${
        (cause as Error).message
      }; pass a compiled "module" to loadCodecs() where compiling is forbidden`,
      { cause },
    );
  });
  return loading;
}

async function load(options: LoadCodecsOptions): Promise<CodecBindings> {
  const codecs = await import("../../wasm/codecs.js");
  codecs.initSync({ module: options.module ?? await compile() });
  return codecs;
}

async function compile(): Promise<WebAssembly.Module> {
  const { codecsBase64 } = await import("../../wasm/codecs_module.ts");
  const text = atob(codecsBase64);
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  return await WebAssembly.compile(bytes);
}

/**
 * Runs a task on the codecs when all earlier ones have ended, so that no
 * other task's objects live in an instance that must be replaced.
 *
 * @param action - Start of the message of an error: "Cannot decode the image".
 * @throws {InputError} When the module refuses the data or breaks on it.
 */
export function withCodecs<T>(
  action: string,
  task: (codecs: CodecBindings) => Promise<T>,
): Promise<T> {
  const result = lastTask.then(() => run(action, task));
  // The next task does not care how this one ended; its caller does.
  lastTask = result.then(() => undefined, () => undefined);
  return result;
}

async function run<T>(
  action: string,
  task: (codecs: CodecBindings) => Promise<T>,
): Promise<T> {
  const codecs = await bindings({});
  let healthy = true;
  try {
    return await task(codecs);
  } catch (cause) {
    // The module's own refusals are strings.
    if (typeof cause === "string") {
      throw new InputError(`${action}: ${cause}`);
    }
    healthy = !isBreakdown(cause);
    if (healthy) throw cause;
    throw new InputError(
      `${action}: the decoder failed on it (${(cause as Error).message})`,
      { cause },
    );
  } finally {
    if (!healthy || codecs.memoryBytes() > MAX_IDLE_MEMORY_BYTES) {
      codecs.__wbg_reset_state();
    }
  }
}

/** A trap, or an engine limit such as memory. */
function isBreakdown(error: unknown): boolean {
  return error instanceof WebAssembly.RuntimeError ||
    error instanceof RangeError;
}

/** Uses an object of the module, and frees it unless the module broke. */
export async function freeing<T extends { free(): void }, R>(
  object: T,
  use: (object: T) => Promise<R>,
): Promise<R> {
  try {
    const result = await use(object);
    object.free();
    return result;
  } catch (error) {
    if (!isBreakdown(error)) object.free();
    throw error;
  }
}
