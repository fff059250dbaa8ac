// A web server on this machine that serves files with byte ranges, and
// misbehaves on demand.
import {
  createServer,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";

/** One request as the server saw it. */
export interface SeenRequest {
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

/** Answers a request itself by returning `true`. */
export type Misbehaviour = (
  request: SeenRequest,
  response: ServerResponse,
) => boolean;

/** A running server. */
export interface TestServer extends AsyncDisposable {
  /** `http://127.0.0.1:port` */
  readonly address: string;
  readonly seen: SeenRequest[];
}

/** Serves `files` by path (`/a/b.json`); `before` may answer first. */
export async function serveFiles(
  files: Readonly<Record<string, Uint8Array>>,
  before: Misbehaviour = () => false,
): Promise<TestServer> {
  const seen: SeenRequest[] = [];
  const server = createServer((request, response) => {
    const record = describe(request);
    seen.push(record);
    response.setHeader("Connection", "close");
    if (!before(record, response)) sendRange(files, record, response);
  });
  await new Promise<void>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve())
  );
  const { port } = server.address() as AddressInfo;
  return {
    address: `http://127.0.0.1:${port}`,
    seen,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function describe(request: IncomingMessage): SeenRequest {
  return {
    path: request.url ?? "",
    range: request.headers.range,
    authorization: request.headers.authorization,
  };
}

/** Answers with the range asked for, the whole file, 404 or 416. */
export function sendRange(
  files: Readonly<Record<string, Uint8Array>>,
  { path, range }: SeenRequest,
  response: ServerResponse,
): void {
  const bytes = files[path];
  if (bytes === undefined) {
    response.writeHead(404).end();
    return;
  }
  const size = bytes.length;
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? [];
  if (from === undefined) {
    response.writeHead(200).end(bytes);
    return;
  }
  const first = Number(from);
  if (first >= size) {
    response.writeHead(416, { "Content-Range": `bytes */${size}` }).end();
    return;
  }
  const last = Math.min(Number(to), size - 1);
  response.writeHead(206, {
    "Content-Range": `bytes ${first}-${last}/${size}`,
  });
  response.end(bytes.subarray(first, last + 1));
}
