import assert from "node:assert/strict";
import { test } from "node:test";
import { createWasmDevice } from "../../../src/backends/wasm/device.ts";
import {
  compileKernels,
  instantiateKernels,
} from "../../../src/backends/wasm/kernel_module.ts";
import { layOut } from "../../../src/backends/wasm/memory.ts";
import { createOps } from "../../../src/backends/wasm/ops.ts";
import { Recorder } from "../../../src/backends/wasm/recorder.ts";
import type { WasmTensor } from "../../../src/backends/wasm/tensors.ts";
import { DeviceError, InputError } from "../../../src/core/errors.ts";
import type { Device } from "../../../src/ops/device.ts";
import type { Ops, Tensor, Weight } from "../../../src/ops/ops.ts";
import { randomTensor, testPlatform } from "../../testing.ts";

/** Longest time the event loop may be held. */
const MAX_GAP_MS = 50;
/** What a busy test machine may add to it. */
const SLACK_MS = 100;
const MAX_ABORT_MS = 200;

/** Operations whose work is cut in chunks in different ways. */
function recordMany(r: Recorder, ops: Ops): Tensor {
  const upload = (shape: number[], seed: number) => {
    const { data } = randomTensor(shape, { seed });
    return r.upload(data, shape);
  };
  const x = upload([301, 3, 130], 1);
  const rows = ops.reshape(x, [903, 130]);
  const normed = ops.rmsNorm(ops.gelu(rows), undefined, 1e-6);
  const streams = ops.stack([normed, rows, normed, rows]);
  const predicted = ops.altupPredict(streams, upload([903, 16], 2));
  const mean = ops.meanStreams(ops.addToStreams(predicted, normed));
  const picked = ops.gatherRows(
    [mean, normed],
    Int32Array.from({ length: 2000 }, (_, i) => (i * 7) % 1806),
  );
  const q = ops.reshape(picked, [2000, 5, 26]);
  const k = upload([200, 26], 3);
  return ops.multiQueryAttention(q, k, k, { heads: 5, scale: 0.3 });
}

test("the queue gives the same bits however it is cut", async () => {
  const recorder = new Recorder();
  const ops = createOps(recorder);
  const result = recordMany(recorder, ops) as WasmTensor;
  const step = recorder.plan([result]);
  const activations = step.commandBytes + step.arenaBytes;
  const layout = layOut({ weights: 0, kv: 0, activations });
  const pages = Math.ceil(layout.end / 65536);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const kernels = await instantiateKernels(await compileKernels(), memory);
  const base = layout.activations;
  const calls: number[] = [];
  const results = [0, 1_000_000, 0xffff_ffff].map((budget) => {
    new Uint8Array(memory.buffer, base).fill(0xff);
    step.write(memory.buffer, base);
    new Uint32Array(memory.buffer, layout.cursor, 2).fill(0);
    let count = 1;
    while (
      kernels.execute(base, step.commands, layout.cursor, budget) === 0
    ) count++;
    calls.push(count);
    const address = step.address(result, base);
    return new Float32Array(memory.buffer, address, 2000 * 130).slice();
  });
  assert.ok(calls[0]! > 20, `${calls[0]} chunks`);
  assert.ok(calls[0]! > calls[1]! && calls[1]! > 1, `${calls} calls`);
  assert.equal(calls[2], 1);
  assert.ok(results[2]!.every(Number.isFinite));
  assert.deepEqual(results[0], results[2]);
  assert.deepEqual(results[1], results[2]);
});

/** A device that multiplies by one matrix, over and over. */
async function chain(): Promise<{ device: Device; record(n: number): Tensor }> {
  const device = await createWasmDevice({ platform: testPlatform });
  const size = 512;
  const shape = [size, size];
  const { data } = randomTensor(shape, { seed: 1, scale: 0.05 });
  const w = device.declareWeight({ name: "w", shape, kind: "matrix" });
  const record = (n: number) => {
    let x = device.upload(data, shape);
    for (let i = 0; i < n; i++) x = device.ops.matmul(x, w);
    return x;
  };
  device.plan(() => [record(100)]);
  await device.allocate();
  const bytes = new Uint8Array(data.buffer);
  await device.writeWeight(w, { firstRow: 0, rows: size, dtype: "f32", bytes });
  return { device, record };
}

test("a long step leaves the event loop free", async () => {
  const { device, record } = await chain();
  await using _ = device;
  // The first step finds out how much fits into a slice.
  record(20);
  await device.submit();
  const gaps: number[] = [];
  let last = performance.now();
  const timer = setInterval(() => {
    gaps.push(performance.now() - last);
    last = performance.now();
  }, 1);
  record(60);
  const started = performance.now();
  await device.submit();
  clearInterval(timer);
  const elapsed = performance.now() - started;
  gaps.sort((a, b) => a - b);
  // A busy machine's own gaps are rarer than one in ten.
  const [typical, worst] = [0.5, 0.9].map((part) =>
    gaps[Math.floor(part * (gaps.length - 1))]!
  ) as [number, number];
  assert.ok(gaps.length >= 3, `${gaps.length} ticks in ${elapsed} ms`);
  assert.ok(typical < MAX_GAP_MS, `usually held for ${typical} ms`);
  assert.ok(worst < MAX_GAP_MS + SLACK_MS, `held for ${worst} ms`);
});

test("many short steps leave the event loop free", async () => {
  const { device, record } = await chain();
  await using _ = device;
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const started = performance.now();
  for (let i = 0; i < 40; i++) {
    record(1);
    await device.submit();
  }
  clearInterval(timer);
  const elapsed = performance.now() - started;
  assert.ok(
    ticks >= Math.floor(elapsed / (MAX_GAP_MS + SLACK_MS)),
    `${ticks} ticks`,
  );
});

test("a step stops soon after an abort", async () => {
  const { device, record } = await chain();
  await using _ = device;
  const controller = new AbortController();
  let aborted = 0;
  setTimeout(() => {
    aborted = performance.now();
    controller.abort(new Error("enough"));
  }, 30);
  record(100);
  const { signal } = controller;
  await assert.rejects(device.submit({ signal }), /enough/);
  const waited = performance.now() - aborted;
  assert.ok(waited < MAX_ABORT_MS, `stopped after ${waited} ms`);
  const [alone] = await device.read([record(2)]);
  const [again] = await device.read([record(2)]);
  assert.deepEqual(alone, again);
});

test("an operation that is refused leaves nothing in the queue", async () => {
  const { device, record } = await chain();
  const other = await chain();
  await using _ = device;
  await using __ = other.device;
  const x = record(1);
  const foreign = other.record(1);
  const gather = () =>
    device.ops.gatherRows([x, foreign], Int32Array.of(0, 513));
  assert.throws(gather, InputError);
  assert.throws(() => device.ops.mul(x, foreign), InputError);
  assert.throws(() => device.ops.matmul(foreign, x as Weight), InputError);
  const [found] = await device.read([x]);
  const [wanted] = await device.read([record(1)]);
  assert.deepEqual(found, wanted);
});

test("a caller's module is used, and a wrong one refused", async () => {
  const module = await compileKernels();
  await using device = await createWasmDevice({
    platform: testPlatform,
    module,
  });
  await device.allocate();
  const other = new WebAssembly.Module(
    Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0),
  );
  await using wrong = await createWasmDevice({
    platform: testPlatform,
    module: other,
  });
  await assert.rejects(wrong.allocate(), DeviceError);
});
