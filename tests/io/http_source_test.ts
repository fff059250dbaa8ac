import { test } from "node:test";
import assert from "node:assert/strict";

import { CheckpointError, HubError } from "../../src/core/errors.ts";
import { type HttpOptions, openHttpSource } from "../../src/io/http_source.ts";
import { serveFiles } from "./http_server.ts";

// Longer than what is fetched when a file is opened (64 KiB).
const LARGE = Uint8Array.from({ length: 200_003 }, (_, i) => i % 253);
const SMALL = LARGE.slice(0, 100);
const FILES = {
  "/large": LARGE,
  "/small": SMALL,
  "/empty": new Uint8Array(0),
};
const OPTIONS: HttpOptions = { fetch: globalThis.fetch, retryDelayMs: 1 };

test("openHttpSource() reads a small file in one request", async () => {
  await using server = await serveFiles(FILES);
  const source = (await openHttpSource(`${server.address}/small`, OPTIONS))!;
  assert.equal(source.size, 100);
  assert.deepEqual(await source.read(0, 100), SMALL);
  assert.deepEqual(await source.read(99, 1), SMALL.slice(99));
  assert.equal(server.seen.length, 1);
  await assert.rejects(source.read(99, 2), CheckpointError);
});

test("openHttpSource() reads parts of a large file by range, one request each", async () => {
  await using server = await serveFiles(FILES);
  const source = (await openHttpSource(`${server.address}/large`, OPTIONS))!;
  assert.equal(source.size, LARGE.length);
  const into = new Uint8Array(new SharedArrayBuffer(1000)).fill(255);
  const part = await source.read(150_000, 900, into);
  assert.equal(part.buffer, into.buffer);
  assert.deepEqual([...part], [...LARGE.subarray(150_000, 150_900)]);
  assert.ok(into.subarray(900).every((byte) => byte === 255));
  assert.deepEqual(await source.read(0, LARGE.length), LARGE);
  const ranges = server.seen.map(({ range }) => range);
  assert.deepEqual(ranges, [
    "bytes=0-65535",
    "bytes=150000-150899",
    `bytes=0-${LARGE.length - 1}`,
  ]);
});

test("openHttpSource() knows empty and missing files", async () => {
  await using server = await serveFiles(FILES);
  const empty = await openHttpSource(`${server.address}/empty`, OPTIONS);
  assert.equal(empty?.size, 0);
  const none = await openHttpSource(`${server.address}/none`, OPTIONS);
  assert.equal(none, undefined);
});

test("openHttpSource() takes a small file whole from a server without ranges", async () => {
  await using server = await serveFiles(FILES, (_, response) => {
    response.writeHead(200).end(SMALL);
    return true;
  });
  const source = (await openHttpSource(`${server.address}/small`, OPTIONS))!;
  assert.deepEqual(await source.read(3, 50), SMALL.slice(3, 53));
});

test("openHttpSource() rejects a large file of a server without ranges", async () => {
  await using server = await serveFiles(FILES, (_, response) => {
    response.writeHead(200);
    const block = new Uint8Array(8 * 1024 * 1024);
    const send = (left: number) =>
      void response.write(block, () => left > 0 && send(left - 1));
    send(8);
    return true;
  });
  await assert.rejects(openHttpSource(`${server.address}/small`, OPTIONS), {
    name: "HubError",
    message: /ignores byte ranges/,
  });
});

test("openHttpSource() repeats requests while the server is busy", async () => {
  let failures = 3;
  await using server = await serveFiles(FILES, (_, response) => {
    if (failures-- <= 0) return false;
    response.writeHead(failures === 1 ? 429 : 503).end();
    return true;
  });
  const source = (await openHttpSource(`${server.address}/small`, OPTIONS))!;
  assert.deepEqual(await source.read(0, 100), SMALL);
  assert.equal(server.seen.length, 4);
});

test("openHttpSource() rejects with status, address and remedy when the server refuses", async () => {
  await using server = await serveFiles(FILES, (_, response) => {
    response.writeHead(403).end("no");
    return true;
  });
  const url = `${server.address}/small`;
  const remedy = (status: number) => status === 403 ? "ask nicely" : undefined;
  await assert.rejects(openHttpSource(url, { ...OPTIONS, remedy }), (error) => {
    assert.ok(error instanceof HubError);
    assert.equal(error.status, 403);
    assert.equal(error.url, url);
    assert.match(error.message, /answers 403 .*; ask nicely$/);
    return true;
  });
  assert.equal(server.seen.length, 1);
});

test("openHttpSource() rejects with a HubError when nobody answers", async () => {
  const server = await serveFiles({});
  await server[Symbol.asyncDispose]();
  await assert.rejects(openHttpSource(`${server.address}/x`, OPTIONS), {
    name: "HubError",
    message: /Cannot reach/,
  });
});

test("openHttpSource() continues where a connection broke", async () => {
  await using server = await serveFiles(FILES, ({ range }, response) => {
    if (range !== `bytes=0-${LARGE.length - 1}`) return false;
    response.writeHead(206, {
      "Content-Range": `bytes 0-${LARGE.length - 1}/${LARGE.length}`,
      "Content-Length": LARGE.length,
    });
    response.write(
      LARGE.subarray(0, 70_000),
      () => setTimeout(() => response.destroy(), 50),
    );
    return true;
  });
  const source = (await openHttpSource(`${server.address}/large`, OPTIONS))!;
  assert.deepEqual(await source.read(0, LARGE.length), LARGE);
  assert.equal(server.seen.length, 3);
});

test("openHttpSource() rejects reads of a file that was replaced", async () => {
  const files: Record<string, Uint8Array> = { "/large": LARGE };
  await using server = await serveFiles(files);
  const source = (await openHttpSource(`${server.address}/large`, OPTIONS))!;
  files["/large"] = LARGE.slice(1);
  await assert.rejects(source.read(100_000, 10), {
    name: "HubError",
    message: /may have been replaced/,
  });
});

test("openHttpSource() stops when the signal aborts", async () => {
  const controller = new AbortController();
  await using server = await serveFiles(FILES, ({ range }) => {
    if (range === "bytes=0-65535") return false;
    setTimeout(() => controller.abort(new Error("enough")), 20);
    return true; // and never answer
  });
  const source = (await openHttpSource(`${server.address}/large`, {
    ...OPTIONS,
    signal: controller.signal,
  }))!;
  await assert.rejects(source.read(100_000, 10), /enough/);
});
