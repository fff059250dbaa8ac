// Threads: the same bits as without, an end to every wait, and one thread where
// several cannot be had.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createWasmDevice } from "../../../src/backends/wasm/device.ts";
import { compileKernels } from "../../../src/backends/wasm/kernel_module.ts";
import { DeviceError, InputError } from "../../../src/core/errors.ts";
import type { Device } from "../../../src/ops/device.ts";
import type { Tensor } from "../../../src/ops/ops.ts";
import type { Platform, WorkerEvents } from "../../../src/platform/platform.ts";
import { randomTensor, testPlatform } from "../../testing.ts";

const SIZE = 192;
const MAX_ABORT_MS = 200;
const START_LIMIT_MS = 100;

interface Chain {
  readonly device: Device;
  /** Records products and norms, one after another. */
  record(n: number): Tensor;
}

/** A device that multiplies by one matrix, over and over. */
async function chain(
  options: Partial<Parameters<typeof createWasmDevice>[0]> = {},
): Promise<Chain> {
  const device = await createWasmDevice({
    platform: testPlatform,
    threads: 2,
    minSharedCost: 0,
    onWarning: (warning) => assert.fail(warning),
    ...options,
  });
  const shape = [SIZE, SIZE];
  const { data } = randomTensor(shape, { seed: 1 });
  const w = device.declareWeight({ name: "w", shape, kind: "matrix" });
  const record = (n: number) => {
    let x = device.upload(data, shape);
    for (let i = 0; i < n; i++) {
      x = device.ops.rmsNorm(device.ops.matmul(x, w), undefined, 1e-6);
    }
    return x;
  };
  device.plan(() => [record(400)]);
  await device.allocate();
  const bytes = new Uint8Array(data.buffer);
  await device.writeWeight(w, { firstRow: 0, rows: SIZE, dtype: "f32", bytes });
  return { device, record };
}

async function results({ device, record }: Chain): Promise<Float32Array[]> {
  await using _ = device;
  const all: Float32Array[] = [];
  for (const n of [3, 0, 1, 5]) {
    const [data] = await device.read([record(n)]);
    all.push(data!);
  }
  return all;
}

test("any number of threads gives the same bits", async () => {
  const alone = await results(await chain({ threads: 1 }));
  for (const threads of [2, 3, 5]) {
    const shared = await results(await chain({ threads }));
    assert.deepEqual(shared, alone, `${threads} threads`);
  }
});

test("many steps on threads all end", async () => {
  const { device, record } = await chain({ threads: 3 });
  await using _ = device;
  const [wanted] = await device.read([record(1)]);
  for (let i = 0; i < 200; i++) {
    const [found] = await device.read([record(1)]);
    assert.deepEqual(found, wanted, `step ${i}`);
    // Now and then long enough for the threads to fall asleep.
    if (i % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
});

test("the calling thread computes steps that are not worth it", async () => {
  const { device, record } = await chain({ minSharedCost: 1e12 });
  const alone = await chain({ threads: 1 });
  assert.deepEqual(
    await results({ device, record }),
    await results(alone),
  );
});

test("the event loop is free while threads compute", async () => {
  const { device, record } = await chain();
  await using _ = device;
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const started = performance.now();
  record(100);
  await device.submit();
  const elapsed = performance.now() - started;
  clearInterval(timer);
  assert.ok(ticks >= Math.floor(elapsed / 50), `${ticks} ticks, ${elapsed} ms`);
});

test("an abort stops the threads, and the device goes on", async () => {
  const { device, record } = await chain();
  await using _ = device;
  const [wanted] = await device.read([record(2)]);
  const controller = new AbortController();
  let aborted = 0;
  setTimeout(() => {
    aborted = performance.now();
    controller.abort(new Error("enough"));
  }, 20);
  record(400);
  const { signal } = controller;
  await assert.rejects(device.submit({ signal }), /enough/);
  const waited = performance.now() - aborted;
  assert.ok(waited < MAX_ABORT_MS, `stopped after ${waited} ms`);
  const [found] = await device.read([record(2)]);
  assert.deepEqual(found, wanted);
});

test("dispose() ends a step under way", async () => {
  const { device, record } = await chain();
  record(400);
  const step = device.submit();
  const rejected = assert.rejects(step, InputError);
  await new Promise((resolve) => setTimeout(resolve, 5));
  const started = performance.now();
  await device[Symbol.asyncDispose]();
  const waited = performance.now() - started;
  await rejected;
  assert.ok(waited < MAX_ABORT_MS, `ended after ${waited} ms`);
});

/** A platform whose threads do as they are told. */
function withThreads(
  startWorker: NonNullable<Platform["startWorker"]>,
): Platform {
  return { ...testPlatform, startWorker };
}

test("a thread that dies fails the step, and the next ones", async () => {
  const events: WorkerEvents[] = [];
  const { device, record } = await chain({
    platform: withThreads((source, data, told) => {
      events.push(told);
      return testPlatform.startWorker!(source, data, told);
    }),
  });
  await using _ = device;
  record(400);
  const step = device.submit();
  setTimeout(() => events[1]!.onEnd("killed"), 5);
  await assert.rejects(step, (error) => {
    assert.ok(error instanceof DeviceError);
    assert.match(error.message, /killed/);
    return true;
  });
  record(1);
  await assert.rejects(device.submit(), DeviceError);
});

/** What a device says when it gives threads up, having checked that it computes. */
async function fallback(
  options: Partial<Parameters<typeof createWasmDevice>[0]>,
): Promise<string> {
  const warnings: string[] = [];
  const onWarning = (warning: string) => void warnings.push(warning);
  const found = await results(await chain({ onWarning, ...options }));
  assert.deepEqual(found, await results(await chain({ threads: 1 })));
  assert.equal(warnings.length, 1, String(warnings));
  return warnings[0]!;
}

test("a runtime without threads computes with one", async () => {
  const { startWorker: _, ...platform } = testPlatform;
  assert.match(await fallback({ platform }), /1 instead of 2.*has none/);
});

test("threads that do not start in time are given up", async () => {
  const platform = withThreads(() => ({ terminate: () => Promise.resolve() }));
  const warning = await fallback({ platform, startLimitMs: START_LIMIT_MS });
  assert.match(warning, /not ready in 100 ms/);
});

test("threads that fail to start are given up", async () => {
  const platform = withThreads((_source, data, events) =>
    testPlatform.startWorker!(
      '(_, post) => post({ error: "no memory" })',
      data,
      events,
    )
  );
  assert.match(await fallback({ platform }), /no memory/);
});

test("a runtime that refuses to start a thread computes with one", async () => {
  const platform = withThreads(() => {
    throw new Error("not permitted");
  });
  assert.match(await fallback({ platform }), /not permitted/);
});

test("threads that compute wrong are given up", async () => {
  const platform = withThreads((_source, data, events) =>
    testPlatform.startWorker!(
      "({ memory, probe }, post) => {" +
        "new Float32Array(memory.buffer, probe, 4).fill(7);" +
        "post({ ready: true }); }",
      data,
      events,
    )
  );
  assert.match(await fallback({ platform }), /computed/);
});

test("threads with memory of their own are given up", async () => {
  const platform = withThreads((source, data, events) =>
    testPlatform.startWorker!(
      `(data, post) => (${source})({ ...data, memory: new WebAssembly.Memory(` +
        "{ initial: data.memory.buffer.byteLength / 65536, " +
        "maximum: data.memory.buffer.byteLength / 65536, shared: true }) }, " +
        "(message) => message.error && post(message) || " +
        "post({ ready: true }))",
      { ...data as object },
      events,
    )
  );
  assert.match(await fallback({ platform }), /computed/);
});

test("a caller's module decides whether there are threads", async () => {
  const threaded = await compileKernels({ threads: true });
  const alone = await results(await chain({ threads: 1 }));
  for (const threads of [1, 2]) {
    const found = await chain({ threads, module: threaded });
    assert.deepEqual(await results(found), alone, `${threads} threads`);
  }
  const warning = await fallback({ module: await compileKernels() });
  assert.match(warning, /build for one/);
});
