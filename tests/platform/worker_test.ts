// Threads as each runtime starts them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createBrowserPlatform } from "../../src/platform/browser.ts";
import { detectPlatform } from "../../src/platform/detect.ts";
import type { Platform } from "../../src/platform/platform.ts";
import { runtimeName } from "./runtime.ts";

const platforms: Platform[] = [await detectPlatform()];
// Node has no workers as browsers have.
if (runtimeName() !== "node") platforms.push(createBrowserPlatform());

/** The first thing a thread tells. */
function firstEvent(
  platform: Platform,
  source: string,
  data: unknown,
): Promise<{ message: unknown } | { end: string }> {
  return new Promise((resolve, reject) => {
    // A thread does not keep the process alive.
    const timer = setInterval(() => {}, 1000);
    const worker = platform.startWorker!(source, data, {
      onMessage: (message) => settle({ message }),
      onEnd: (end) => settle({ end }),
    });
    const settle = (event: { message: unknown } | { end: string }) => {
      clearInterval(timer);
      worker.terminate().then(() => resolve(event), reject);
    };
  });
}

for (const platform of platforms) {
  const { name } = platform;

  test(`startWorker() of ${name} calls the source and shares memory`, async () => {
    const shared = new Int32Array(new SharedArrayBuffer(4));
    const source = "({ shared, n }, post) => { " +
      'Atomics.store(shared, 0, n); post(["n \u00fc %20", n]); }';
    const event = await firstEvent(platform, source, { shared, n: 7 });
    assert.deepEqual(event, { message: ["n \u00fc %20", 7] });
    assert.equal(Atomics.load(shared, 0), 7);
  });

  test(`startWorker() of ${name} tells why a source fails`, async () => {
    const source = '() => { throw new Error("enough"); }';
    const event = await firstEvent(platform, source, undefined);
    assert.ok("end" in event, JSON.stringify(event));
    assert.match(event.end, /enough/);
  });

  test(`terminate() of ${name} ends a thread that never would, silently`, async () => {
    const events: unknown[] = [];
    let markReady: () => void;
    const ready = new Promise<void>((resolve) => markReady = resolve);
    const worker = platform.startWorker!(
      '(_, post) => { post("ready"); for (;;); }',
      undefined,
      {
        onMessage: () => markReady(),
        onEnd: (reason) => events.push(reason),
      },
    );
    const timer = setInterval(() => {}, 1000);
    await ready;
    clearInterval(timer);
    await worker.terminate();
    await platform.yieldToEventLoop();
    assert.deepEqual(events, []);
  });
}
