// Writing GGUF files that belong together: all are at their paths, or none.
import { InputError, UnsupportedError } from "../core/errors.ts";
import type { Checkpoint } from "../io/checkpoint.ts";
import {
  encodeGgufHeader,
  type GgufMetadataValue,
} from "../io/gguf_header_writer.ts";
import type { Platform, PlatformFileWriter } from "../platform/platform.ts";
import type { PlannedTensor } from "./gguf_plan.ts";
import { tensorBytes } from "./tensor_bytes.ts";

/** How far a conversion has come. */
export interface ConvertProgress {
  /** Bytes written so far, of all files. */
  readonly writtenBytes: number;
  /** Bytes of all files. */
  readonly totalBytes: number;
  /** The tensor whose bytes came last, as the file names it; empty for a header. */
  readonly tensor: string;
}

/** A file that a conversion has written. */
export interface ConvertedFile {
  /** Where it is. */
  readonly path: string;
  /** Bytes of the file. */
  readonly bytes: number;
  /** Tensors in it. */
  readonly tensors: number;
}

/** A file to be written. */
export interface PlannedFile {
  readonly path: string;
  readonly metadata: ReadonlyMap<string, GgufMetadataValue>;
  readonly tensors: readonly PlannedTensor[];
}

/** Options of {@link writeFiles}. */
export interface WriteOptions {
  readonly onProgress?: ((progress: ConvertProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes files, block by block.
 *
 * @throws {UnsupportedError} When the runtime has no local files.
 */
export async function writeFiles(
  platform: Platform,
  checkpoint: Checkpoint,
  planned: readonly PlannedFile[],
  { onProgress, signal }: WriteOptions,
): Promise<ConvertedFile[]> {
  const headers = planned.map(({ metadata, tensors }) =>
    encodeGgufHeader(metadata, tensors)
  );
  const totalBytes = headers.reduce((sum, header) => sum + header.fileBytes, 0);
  let writtenBytes = 0;
  const opened: PlatformFileWriter[] = [];
  try {
    for (const [i, { path, tensors }] of planned.entries()) {
      const file = await createFile(platform, path);
      opened.push(file);
      const write = async (bytes: Uint8Array, tensor: string) => {
        signal?.throwIfAborted();
        await file.write(bytes);
        writtenBytes += bytes.byteLength;
        onProgress?.({ writtenBytes, totalBytes, tensor });
      };
      await write(headers[i]!.bytes, "");
      for (const tensor of tensors) {
        for await (const bytes of tensorBytes(checkpoint, tensor)) {
          await write(bytes, tensor.name);
        }
      }
    }
  } catch (error) {
    await Promise.all(opened.map((file) => file.discard()));
    throw error;
  }
  for (const file of opened) await file.finish();
  return planned.map(({ path, tensors }, i) => ({
    path,
    bytes: headers[i]!.fileBytes,
    tensors: tensors.length,
  }));
}

/**
 * Checks that a path can be written.
 *
 * @throws {InputError} When there is a directory, or a file that must stay.
 */
export async function checkTarget(
  platform: Platform,
  path: string,
  overwrite: boolean,
): Promise<void> {
  const found = await platform.stat(path);
  if (found === "directory" || (found === "file" && !overwrite)) {
    throw new InputError(
      `Cannot write "${path}": there is a ${found} of that name; ${
        found === "file"
          ? 'choose another, or set "overwrite" (--force)'
          : "name a file"
      }`,
    );
  }
}

async function createFile(
  platform: Platform,
  path: string,
): Promise<PlatformFileWriter> {
  if (platform.createFile === undefined) {
    throw new UnsupportedError(
      `Cannot write "${path}": this runtime has no local files`,
    );
  }
  return await platform.createFile(path);
}
