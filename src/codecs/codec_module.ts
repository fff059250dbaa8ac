// One WebAssembly module of rust/codecs: loaded at first use, one task at a
// time, replaced by a fresh instance when a task breaks it.
import { DeviceError, InputError } from "../core/errors.ts";

/** What every module of codecs offers. */
export interface CodecBindings {
  initSync(options: { module: WebAssembly.Module }): unknown;
  memoryBytes(): number;
  __wbg_reset_state(): void;
}

/** The two generated files of a module, imported when they are needed. */
export interface CodecSource<B extends CodecBindings> {
  /** "pictures" or "sound", as in the options of `loadCodecs()`. */
  readonly name: string;
  bindings(): Promise<B>;
  /** The module's bytes. */
  base64(): Promise<string>;
}

// An instance's memory never shrinks; beyond this it is replaced after the
// task that made it grow.
const MAX_IDLE_MEMORY_BYTES = 32 * 2 ** 20;

/** A module and the queue of its tasks. */
export class CodecModule<B extends CodecBindings> {
  readonly #source: CodecSource<B>;
  #loading: Promise<B> | undefined;
  #lastTask: Promise<unknown> = Promise.resolve();
  #memoryBytes = 0;

  /** Describes the module; nothing is loaded yet. */
  constructor(source: CodecSource<B>) {
    this.#source = source;
  }

  /** Bytes of memory that the instance had at the end of the last task. */
  get memoryBytes(): number {
    return this.#memoryBytes;
  }

  /**
   * Loads the module, unless it is loaded.
   *
   * @param compiled - Its bytes, compiled; compiled here when left out.
   * @throws {DeviceError} When WebAssembly cannot be compiled here.
   */
  load(compiled?: WebAssembly.Module): Promise<B> {
    this.#loading ??= this.#instantiate(compiled).catch((cause) => {
      this.#loading = undefined;
      const { name } = this.#source;
      throw new DeviceError(
        `Cannot load the codecs of ${name}: ${
          (cause as Error).message
        }; pass a compiled module as "${name}" to loadCodecs() where compiling is forbidden`,
        { cause },
      );
    });
    return this.#loading;
  }

  async #instantiate(compiled?: WebAssembly.Module): Promise<B> {
    const bindings = await this.#source.bindings();
    bindings.initSync({ module: compiled ?? await this.#compile() });
    return bindings;
  }

  async #compile(): Promise<WebAssembly.Module> {
    const text = atob(await this.#source.base64());
    const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0));
    return await WebAssembly.compile(bytes);
  }

  /**
   * Runs a task when all earlier ones have ended, so that no other task's
   * objects live in an instance that must be replaced.
   *
   * @param action - Start of the message of an error: "Cannot decode the image".
   * @throws {InputError} When the module refuses the data or breaks on it.
   */
  run<T>(action: string, task: (bindings: B) => Promise<T>): Promise<T> {
    const result = this.#lastTask.then(() => this.#run(action, task));
    // The next task does not care how this one ended; its caller does.
    this.#lastTask = result.then(() => undefined, () => undefined);
    return result;
  }

  async #run<T>(
    action: string,
    task: (bindings: B) => Promise<T>,
  ): Promise<T> {
    const bindings = await this.load();
    let healthy = true;
    try {
      return await task(bindings);
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
      this.#memoryBytes = bindings.memoryBytes();
      if (!healthy || this.#memoryBytes > MAX_IDLE_MEMORY_BYTES) {
        bindings.__wbg_reset_state();
      }
    }
  }
}

/** A trap, or an engine limit such as memory. */
function isBreakdown(error: unknown): boolean {
  return error instanceof WebAssembly.RuntimeError ||
    error instanceof RangeError;
}

/** Uses an object of a module, and frees it unless the module broke. */
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
