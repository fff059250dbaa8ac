// Where bytes come from: memory, an opened file, a Blob, HTTP ranges
// (http_source.ts). Parsers see only this interface.
import { CheckpointError } from "../core/errors.ts";
import type { PlatformFile } from "../platform/platform.ts";

/** Bytes that can be read at any offset. Reads may run concurrently. */
export interface ByteSource {
  /** File name or address, for messages. */
  readonly name: string;
  /** Length in bytes. */
  readonly size: number;
  /**
   * Reads exactly `length` bytes at `offset`, into the start of `into` (which
   * may lie in shared memory) or into a new array, and returns them.
   *
   * @throws {CheckpointError} When the source ends before `offset + length`.
   * @throws {HubError} When the bytes come over the network and it fails.
   */
  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
  /** Frees what the source holds; it cannot be read afterwards. */
  close(): Promise<void>;
}

/**
 * Checks that a read lies within a source and fits the target.
 *
 * @throws {CheckpointError} When the range ends beyond the source.
 * @throws {RangeError} When `into` is shorter than `length`, or a number is
 * not a byte count: a mistake of the calling code, not of the file.
 */
export function checkRange(
  source: { readonly name: string; readonly size: number },
  offset: number,
  length: number,
  into?: Uint8Array,
): void {
  if (
    !Number.isSafeInteger(offset) || !Number.isSafeInteger(length) ||
    offset < 0 || length < 0
  ) {
    throw new RangeError(
      `Cannot read ${length} bytes at ${offset}: both must be whole numbers from 0`,
    );
  }
  if (into !== undefined && into.byteLength < length) {
    throw new RangeError(
      `Cannot read ${length} bytes into an array of ${into.byteLength}`,
    );
  }
  if (offset + length > source.size) {
    throw new CheckpointError(
      `Cannot read ${length} bytes at ${offset} of "${source.name}": the file has ${source.size} bytes; ` +
        "it may be truncated, fetch it again",
      { file: source.name },
    );
  }
}

/** A source over bytes in memory. Without `into`, reads give views, not copies. */
export function bytesSource(name: string, bytes: Uint8Array): ByteSource {
  const size = bytes.byteLength;
  return {
    name,
    size,
    // deno-lint-ignore require-await -- a failed check must reject, not throw
    async read(offset, length, into) {
      checkRange({ name, size }, offset, length, into);
      const part = bytes.subarray(offset, offset + length);
      if (into === undefined) return part;
      into.set(part);
      return into.subarray(0, length);
    },
    close: () => Promise.resolve(),
  };
}

/** A source over an opened file, which it closes. */
export function fileSource(name: string, file: PlatformFile): ByteSource {
  const size = file.size;
  return {
    name,
    size,
    async read(offset, length, into) {
      checkRange({ name, size }, offset, length, into);
      const target = into ?? new Uint8Array(length);
      const part = await file.read(offset, length, target.subarray(0, length));
      if (part.byteLength !== length) {
        throw new CheckpointError(
          `Cannot read ${length} bytes at ${offset} of "${name}": got ${part.byteLength}; ` +
            "the file has become shorter since it was opened",
          { file: name },
        );
      }
      return target.subarray(0, length);
    },
    close: () => file.close(),
  };
}

/** A source over a Blob or a browser's File (also one from OPFS). */
export function blobSource(name: string, blob: Blob): ByteSource {
  const size = blob.size;
  return {
    name,
    size,
    async read(offset, length, into) {
      checkRange({ name, size }, offset, length, into);
      const slice = blob.slice(offset, offset + length);
      const bytes = new Uint8Array(await slice.arrayBuffer());
      if (bytes.byteLength !== length) {
        throw new CheckpointError(
          `Cannot read ${length} bytes at ${offset} of "${name}": got ${bytes.byteLength}; ` +
            "the file has changed since it was opened",
          { file: name },
        );
      }
      if (into === undefined) return bytes;
      into.set(bytes);
      return into.subarray(0, length);
    },
    close: () => Promise.resolve(),
  };
}
