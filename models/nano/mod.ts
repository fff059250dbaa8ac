/**
 * g3n-nano, a very small Gemma 3n (17.9 M parameters, eight bits) for
 * `@g3n/core`: text, pictures and sound in, text out.
 *
 * ```ts ignore
 * import { pipeline } from "@g3n/core";
 * import { nano } from "@g3n/nano";
 *
 * await using ask = await pipeline("image-text-to-text", nano);
 * ```
 *
 * @module
 */

/** A source of `@g3n/core`: an object that opens a model's files by name. */
export interface NanoSource {
  /** Name of the file that holds the decoder. */
  readonly gguf: string;
  /**
   * Opens a file of the model; the towers are in one of their own.
   *
   * @param name Name of the file.
   * @returns Its bytes, or `undefined` when the model has none of that name.
   */
  open(name: string): Promise<Uint8Array | undefined>;
}

const DECODER = "nano-q8.gguf";
const FILES = [DECODER, `mmproj-${DECODER}`];

/**
 * The model. Its files lie beside this module; where that came from the
 * network, they are fetched when the model is loaded.
 */
export const nano: NanoSource = {
  gguf: DECODER,
  async open(name) {
    if (!FILES.includes(name)) return undefined;
    const url = new URL(name, import.meta.url);
    return url.protocol === "file:" ? await read(url) : await fetched(url);
  },
};

interface FileSystem {
  readFile(path: URL): Promise<Uint8Array>;
}

// Not an import, so that bundlers for browsers find nothing to resolve.
async function read(url: URL): Promise<Uint8Array | undefined> {
  const { process } = globalThis as {
    process?: { getBuiltinModule(name: string): FileSystem };
  };
  if (process === undefined) {
    throw new TypeError(
      `Cannot read "${url.href}": only Deno, Bun and Node have files`,
    );
  }
  try {
    return await process.getBuiltinModule("node:fs/promises").readFile(url);
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return undefined;
    throw error;
  }
}

async function fetched(url: URL): Promise<Uint8Array | undefined> {
  const response = await fetch(url);
  if (response.status === 404) return undefined;
  if (!response.ok) {
    throw new TypeError(
      `Cannot fetch "${url.href}": the server answers ${response.status}`,
    );
  }
  return new Uint8Array(await response.arrayBuffer());
}
