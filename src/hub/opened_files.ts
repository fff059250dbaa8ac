// Model files from an object of the caller's: a folder picked in a browser,
// OPFS, an archive, memory.
import { InputError } from "../core/errors.ts";
import { blobSource, type ByteSource, bytesSource } from "../io/byte_source.ts";
import { type ModelFiles, modelFiles } from "../io/model_files.ts";

/** What a {@link FileOpener} may give for a file. */
export type OpenedFile = Blob | Uint8Array | ArrayBuffer | ByteSource;

/** An object that opens a model's files by name. */
export interface FileOpener {
  /**
   * Opens a file.
   *
   * @param name Path below the model's folder, e.g. `config.json`.
   * @returns The file, or `undefined` when there is none of that name.
   */
  open(
    name: string,
  ): OpenedFile | undefined | Promise<OpenedFile | undefined>;
  /** Name of the GGUF file that holds the weights, where they are in one. */
  readonly gguf?: string | undefined;
}

/** The files that an object opens. */
export function openedFiles(opener: FileOpener): ModelFiles {
  return modelFiles("the files passed as source", async (name) => {
    const file: unknown = await opener.open(name);
    return file === undefined ? undefined : toSource(name, file);
  });
}

function toSource(name: string, file: unknown): ByteSource {
  if (file instanceof Uint8Array) {
    // Not the Buffer that Node's readFile() gives: its slice() shares memory.
    const { buffer, byteOffset, byteLength } = file;
    return bytesSource(name, new Uint8Array(buffer, byteOffset, byteLength));
  }
  if (file instanceof ArrayBuffer) {
    return bytesSource(name, new Uint8Array(file));
  }
  if (file instanceof Blob) return blobSource(name, file);
  if (isByteSource(file)) return file;
  throw new InputError(
    `Cannot read "${name}": open() of the source gave ${
      file === null ? "null" : typeof file
    }, it must give a Blob, Uint8Array, ArrayBuffer or ByteSource, or undefined for a missing file`,
  );
}

function isByteSource(file: unknown): file is ByteSource {
  return typeof file === "object" && file !== null && "size" in file &&
    "read" in file && typeof file.read === "function" && "close" in file;
}
