import { test } from "node:test";
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { env } from "node:process";

import { UnsupportedError } from "../../src/core/errors.ts";
import { createBrowserPlatform } from "../../src/platform/browser.ts";
import { detectPlatform } from "../../src/platform/detect.ts";
import { runtimeName } from "./runtime.ts";

const LOOP_MS = 300;
const TICK_MS = 5;
/** A few ticks: a starved timer has none, and a busy machine is late. */
const WANTED_TICKS = 4;
/** Yields in the loop, at the least: more than timers of 4 ms would give. */
const WANTED_YIELDS = LOOP_MS / 3;

const BYTES = Uint8Array.from({ length: 100_003 }, (_, i) => i % 251);

async function withFile(run: (path: string, folder: string) => Promise<void>) {
  const folder = await mkdtemp(join(tmpdir(), "g3n-platform-"));
  try {
    const path = join(folder, "bytes.bin");
    await writeFile(path, BYTES);
    await run(path, folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("detectPlatform() names the runtime and gives one platform", async () => {
  const platform = await detectPlatform();
  assert.equal(platform.name, runtimeName());
  assert.equal(await detectPlatform(), platform);
  assert.ok(platform.availableParallelism >= 1);
});

for (
  const platform of [await detectPlatform(), createBrowserPlatform()]
) {
  test(`yieldToEventLoop() of ${platform.name} lets timers run`, async () => {
    let ticks = 0;
    let yields = 0;
    const timer = setInterval(() => ticks++, TICK_MS);
    const start = platform.now();
    while (platform.now() - start < LOOP_MS) {
      await platform.yieldToEventLoop();
      yields++;
    }
    clearInterval(timer);
    assert.ok(ticks >= WANTED_TICKS, `${ticks} ticks`);
    assert.ok(yields >= WANTED_YIELDS, `${yields} yields`);
  });
}

test("openFile() reads parts at any offset, also into shared memory", async () => {
  await withFile(async (path) => {
    const file = await (await detectPlatform()).openFile(path);
    assert.equal(file.size, BYTES.length);
    assert.deepEqual(await file.read(7, 5), BYTES.slice(7, 12));
    const shared = new Uint8Array(new SharedArrayBuffer(20)).fill(255);
    const part = await file.read(1000, 10, shared.subarray(5));
    assert.equal(part.buffer, shared.buffer);
    assert.deepEqual([...part], [...BYTES.subarray(1000, 1010)]);
    assert.deepEqual([...shared.subarray(15)], [255, 255, 255, 255, 255]);
    await file.close();
  });
});

test("openFile() gives a shorter part at the end of the file", async () => {
  await withFile(async (path) => {
    const file = await (await detectPlatform()).openFile(path);
    const end = BYTES.length;
    assert.deepEqual(await file.read(end - 3, 10), BYTES.slice(end - 3));
    assert.equal((await file.read(end, 10)).length, 0);
    assert.equal((await file.read(0, 0)).length, 0);
    await file.close();
  });
});

test("openFile() keeps concurrent reads apart", async () => {
  await withFile(async (path) => {
    const file = await (await detectPlatform()).openFile(path);
    const offsets = Array.from({ length: 100 }, (_, i) => (i * 7919) % 99_000);
    const parts = await Promise.all(offsets.map((at) => file.read(at, 1000)));
    for (const [i, at] of offsets.entries()) {
      assert.deepEqual(parts[i], BYTES.slice(at, at + 1000));
    }
    await file.close();
  });
});

test("openFile() rejects with the runtime's error when there is no file", async () => {
  await withFile(async (_, folder) => {
    const platform = await detectPlatform();
    await assert.rejects(platform.openFile(join(folder, "none")), {
      code: "ENOENT",
    });
  });
});

test("stat() tells files, directories and nothing apart", async () => {
  await withFile(async (path, folder) => {
    const platform = await detectPlatform();
    assert.equal(await platform.stat(path), "file");
    assert.equal(await platform.stat(folder), "directory");
    assert.equal(await platform.stat(join(folder, "none")), "missing");
    assert.equal(await platform.stat(join(path, "none")), "missing");
  });
});

test("env() gives set variables and undefined for others", async () => {
  const platform = await detectPlatform();
  env["G3N_TEST_VARIABLE"] = "set";
  assert.equal(platform.env("G3N_TEST_VARIABLE"), "set");
  delete env["G3N_TEST_VARIABLE"];
  assert.equal(platform.env("G3N_TEST_VARIABLE"), undefined);
});

test("createBrowserPlatform() has no local files", async () => {
  const platform = createBrowserPlatform();
  assert.equal(await platform.stat("/"), "missing");
  assert.equal(platform.env("PATH"), undefined);
  await assert.rejects(platform.openFile("/x"), UnsupportedError);
});
