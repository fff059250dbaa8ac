// A byte source over HTTP ranges. The caller passes the runtime's fetch.
import { HubError } from "../core/errors.ts";
import { type ByteSource, bytesSource, checkRange } from "./byte_source.ts";
import { retryingFetch, type RetryOptions } from "./retry.ts";

/** Options of {@link httpSource} and {@link openHttpSource}. */
export interface HttpOptions extends RetryOptions {
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Advice for the user when the server answers with this status. */
  readonly remedy?: ((status: number) => string | undefined) | undefined;
}

/** Bytes asked for when a file is opened: most side files fit, one request does. */
const PREFIX_BYTES = 65_536;
/** Largest file taken whole from a server that ignores ranges. */
const MAX_WHOLE_BYTES = 64 * 1024 * 1024;

/**
 * Opens a file by its address.
 *
 * @returns The source, or `undefined` when the server has no such file.
 * @throws {HubError} When the server cannot be reached, refuses, or does not
 * serve ranges of a file too large to hold.
 */
export async function openHttpSource(
  url: string,
  options: HttpOptions,
): Promise<ByteSource | undefined> {
  const last = PREFIX_BYTES - 1;
  const response = await request(url, `bytes=0-${last}`, options);
  if (response.status === 404 || response.status === 410) {
    await response.body?.cancel();
    return undefined;
  }
  if (response.status === 416) { // an empty file has no first byte
    await response.body?.cancel();
    return bytesSource(url, new Uint8Array(0));
  }
  if (!response.ok) throw await statusError(url, response, options);
  if (response.status !== 206) {
    return bytesSource(url, await readWhole(url, response));
  }
  const { size } = contentRange(url, response);
  const prefix = new Uint8Array(Math.min(size, PREFIX_BYTES));
  const filled = await readBody(response, prefix);
  options.signal?.throwIfAborted();
  const start = bytesSource(url, prefix.subarray(0, filled));
  const source = httpSource(url, size, options);
  return {
    ...source,
    read: (offset, length, into) =>
      (offset + length <= filled ? start : source).read(offset, length, into),
  };
}

/** A source over a file whose size is known; each read is one request, repeated when it breaks. */
export function httpSource(
  url: string,
  size: number,
  options: HttpOptions,
): ByteSource {
  return {
    name: url,
    size,
    async read(offset, length, into) {
      checkRange({ name: url, size }, offset, length, into);
      const target = (into ?? new Uint8Array(length)).subarray(0, length);
      let filled = 0;
      // A cut connection continues where it stopped; no progress is a failure.
      while (filled < length) {
        const rest = target.subarray(filled);
        const got = await readRange(url, size, offset + filled, rest, options);
        options.signal?.throwIfAborted();
        if (got === 0) {
          throw new HubError(
            `Cannot read ${length} bytes at ${offset} of "${url}": the connection ended after ${filled}; try again`,
            { url },
          );
        }
        filled += got;
      }
      return target;
    },
    close: () => Promise.resolve(),
  };
}

/** Reads one range into `target`; fewer bytes when the connection breaks. */
async function readRange(
  url: string,
  size: number,
  offset: number,
  target: Uint8Array,
  options: HttpOptions,
): Promise<number> {
  const range = `bytes=${offset}-${offset + target.byteLength - 1}`;
  const response = await request(url, range, options);
  if (!response.ok) throw await statusError(url, response, options);
  if (response.status !== 206) {
    await response.body?.cancel();
    throw new HubError(
      `Cannot read a part of "${url}": the server answers ${response.status} with the whole file; ` +
        "use one that serves byte ranges, or download the files first",
      { url, status: response.status },
    );
  }
  const found = contentRange(url, response);
  if (found.size !== size || found.start !== offset) {
    await response.body?.cancel();
    throw new HubError(
      `Cannot read on in "${url}": asked for byte ${offset} of ${size}, the server sends byte ${found.start} of ${found.size}; ` +
        "the file may have been replaced, load it again",
      { url },
    );
  }
  return readBody(response, target);
}

function request(
  url: string,
  range: string,
  options: HttpOptions,
): Promise<Response> {
  const headers = { ...options.headers, Range: range };
  return retryingFetch(options)(url, { headers });
}

/** The error for a status that is not a success. */
async function statusError(
  url: string,
  response: Response,
  options: HttpOptions,
): Promise<HubError> {
  await response.body?.cancel();
  const { status, statusText } = response;
  const remedy = options.remedy?.(status);
  return new HubError(
    `Cannot fetch "${url}": the server answers ${status} ${statusText}`
      .trimEnd() + (remedy === undefined ? "" : `; ${remedy}`),
    { url, status },
  );
}

function contentRange(
  url: string,
  response: Response,
): { start: number; size: number } {
  const header = response.headers.get("content-range");
  const [, start, size] = /^bytes (\d+)-\d+\/(\d+)$/.exec(header ?? "") ?? [];
  if (start === undefined || size === undefined) {
    throw new HubError(
      `Cannot tell the size of "${url}": its Content-Range is ${
        header === null ? "missing" : `"${header}"`
      }; a server for browsers must list it in Access-Control-Expose-Headers`,
      { url, status: response.status },
    );
  }
  return { start: Number(start), size: Number(size) };
}

/**
 * Fills `target` from the body and returns how much came. A connection that
 * breaks just ends early: the caller sees it by the count and asks for the rest.
 */
async function readBody(
  response: Response,
  target: Uint8Array,
): Promise<number> {
  let filled = 0;
  try {
    for await (const part of bodyParts(response)) {
      const wanted = part.subarray(0, target.byteLength - filled);
      target.set(wanted, filled);
      filled += wanted.byteLength;
      if (filled === target.byteLength) break;
    }
  } catch {
    return filled;
  }
  return filled;
}

async function readWhole(url: string, response: Response): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of bodyParts(response)) {
    length += part.byteLength;
    if (length > MAX_WHOLE_BYTES) {
      throw new HubError(
        `Cannot read "${url}": the server ignores byte ranges and the file has more than ${MAX_WHOLE_BYTES} bytes; ` +
          "use a server that serves ranges, or download the files first",
        { url, status: response.status },
      );
    }
    parts.push(part);
  }
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.byteLength;
  }
  return whole;
}

/** The parts of a body; not every browser can iterate over a stream itself. */
async function* bodyParts(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    // Tells the server to stop where not all was wanted; the stream may be
    // broken already, which is no further news.
    await reader.cancel().catch(() => undefined);
  }
}
