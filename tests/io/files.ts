// Small safetensors files, sources that count, and seeded numbers for tests of
// readers.
import type { ByteSource } from "../../src/io/byte_source.ts";
import { bytesSource } from "../../src/io/byte_source.ts";
import { type ModelFiles, modelFiles } from "../../src/io/model_files.ts";

/** A safetensors file: this header, then `data` (or that many counting bytes). */
export function safetensorsBytes(
  header: Record<string, unknown> | string,
  data: number | Uint8Array,
): Uint8Array {
  const text = typeof header === "string" ? header : JSON.stringify(header);
  const json = new TextEncoder().encode(text);
  const body = typeof data === "number"
    ? Uint8Array.from({ length: data }, (_, i) => i)
    : data;
  const bytes = new Uint8Array(8 + json.length + body.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(body, 8 + json.length);
  return bytes;
}

/** A {@link ByteSource} that counts. */
export interface CountingSource extends ByteSource {
  reads: number;
  bytesRead: number;
  largestRead: number;
  closed: number;
}

/** Counts what is read from a source. */
export function countingSource(source: ByteSource): CountingSource {
  const counting: CountingSource = {
    ...source,
    reads: 0,
    bytesRead: 0,
    largestRead: 0,
    closed: 0,
    async read(offset, length, into) {
      const part = await source.read(offset, length, into);
      counting.reads++;
      counting.bytesRead += length;
      counting.largestRead = Math.max(counting.largestRead, length);
      return part;
    },
    close() {
      counting.closed++;
      return source.close();
    },
  };
  return counting;
}

/** Model files in memory, with a count of reads on each file opened. */
export function memoryFiles(
  contents: Record<string, Uint8Array | string>,
): ModelFiles & { readonly opened: CountingSource[] } {
  const opened: CountingSource[] = [];
  // deno-lint-ignore require-await
  const files = modelFiles("memory", async (name) => {
    const content = contents[name];
    if (content === undefined) return undefined;
    const bytes = typeof content === "string"
      ? new TextEncoder().encode(content)
      : content;
    const source = countingSource(bytesSource(name, bytes));
    opened.push(source);
    return source;
  });
  return { ...files, opened };
}

/** Numbers 0 .. limit - 1 from a seed (mulberry32). */
export function randomInts(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor(((t ^ (t >>> 14)) >>> 0) / 2 ** 32 * limit);
  };
}
