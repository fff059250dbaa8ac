// What every device promises besides its operations: the order of its life,
// memory figures, and steps that end, fail or are aborted.
import assert from "node:assert/strict";
import { test } from "node:test";
import { DeviceError, InputError } from "../../src/core/errors.ts";
import {
  assertClose,
  asWeight,
  devices,
  randomTensor,
  setUp,
  tensor,
  type TestDevice,
} from "../testing.ts";

const x = tensor([2, 2], [1, 2, 3, 4]);
const SPEC = { capacity: 4, kvHeads: 1, headDim: 4 };

function testLife(target: TestDevice): void {
  test(`a device (${target.name}) takes declarations only before allocate()`, async () => {
    await using device = await target.create();
    assert.equal(device.name, target.kind);
    device.declareWeight({ name: "w", shape: [2], kind: "vector" });
    await device.allocate();
    const spec = { name: "v", shape: [2], kind: "vector" } as const;
    assert.throws(() => device.declareWeight(spec), InputError);
    assert.throws(() => device.reserveKv([SPEC]), InputError);
    assert.throws(() => device.plan(() => []), InputError);
    await assert.rejects(device.allocate(), InputError);
  });

  test(`a device (${target.name}) runs steps only after allocate()`, async () => {
    await using device = await target.create();
    const w = device.declareWeight({ name: "w", shape: [2], kind: "vector" });
    const rows = { firstRow: 0, rows: 2, dtype: "f32" } as const;
    await assert.rejects(
      device.writeWeight(w, { ...rows, bytes: new Uint8Array(8) }),
      InputError,
    );
    await assert.rejects(device.submit(), InputError);
  });

  test(`a device (${target.name}) says what it needs`, async () => {
    await using device = await target.create();
    assert.deepEqual(
      device.requiredBytes(),
      { weights: 0, kv: 0, activations: 0 },
    );
    const w = device.declareWeight({
      name: "w",
      shape: [8, 64],
      kind: "matrix",
    });
    device.reserveKv([SPEC, SPEC]);
    device.plan(() => {
      const x = device.upload(new Float32Array(64), [64]);
      return [device.ops.matmul(x, w)];
    });
    const { weights, kv, activations } = device.requiredBytes();
    // Each may be more than the values themselves, for alignment and tiles.
    assert.ok(weights >= 8 * 64 * 4, `weights ${weights}`);
    assert.ok(kv >= 2 * 2 * 4 * 4 * 4, `kv ${kv}`);
    assert.ok(activations >= (64 + 8) * 4, `activations ${activations}`);
  });
}

function testStores(target: TestDevice): void {
  test(`a device (${target.name}) gives out the stores that were reserved`, async () => {
    const { device, stores } = await setUp(target, {
      kv: [SPEC, SPEC],
      plan: () => {},
    });
    await using _ = device;
    assert.equal(stores[0]!.capacity, SPEC.capacity);
    assert.equal(stores[0]!.kvHeads, SPEC.kvHeads);
    assert.equal(stores[0]!.headDim, SPEC.headDim);
    assert.throws(() => device.createKvStore(SPEC), DeviceError);
    device.freeKvStore(stores[1]!);
    // Larger than what a device rounds a store up to.
    const other = { ...SPEC, capacity: 2 * 64 };
    assert.throws(() => device.createKvStore(other), DeviceError);
    device.createKvStore(SPEC);
    assert.throws(() => device.createKvStore(SPEC), DeviceError);
  });
}

/** Mixed up devices would read and write wrong memory without an error. */
function testOwnership(target: TestDevice): void {
  const start = () =>
    setUp(target, {
      weights: { w: asWeight("vector", tensor([2], [1, 2])) },
      kv: [SPEC],
      plan: ({ ops, upload }) => {
        for (let i = 0; i < 4; i++) ops.scale(upload(x), 2);
      },
    });

  test(`a device (${target.name}) refuses tensors of another`, async () => {
    const [first, second] = [await start(), await start()];
    const foreign = second.upload(x);
    assert.throws(() => first.ops.scale(foreign, 2), InputError);
    await assert.rejects(first.device.read([foreign]), InputError);
  });

  test(`a device (${target.name}) refuses weights of another`, async () => {
    const [first, second] = [await start(), await start()];
    const mine = first.upload(x);
    const { w } = second.weights;
    assert.throws(() => first.ops.mulVector(mine, w), InputError);
    const rows = { firstRow: 0, rows: 2, dtype: "f32" } as const;
    await assert.rejects(
      first.device.writeWeight(w, { ...rows, bytes: new Uint8Array(8) }),
      InputError,
    );
  });

  test(`a device (${target.name}) refuses stores of another, and freed ones`, async () => {
    const [first, second] = [await start(), await start()];
    const k = first.upload(tensor([1, 1, 4], [1, 2, 3, 4]));
    const segments = [{ firstRow: 0, rows: 1, firstPosition: 0 }];
    const refuses = () =>
      assert.throws(
        () => first.ops.appendKv([store], segments, k, k),
        InputError,
      );
    let store = second.stores[0]!;
    refuses();
    assert.throws(() => first.device.freeKvStore(store), InputError);
    store = first.stores[0]!;
    first.ops.appendKv([store], segments, k, k);
    first.device.freeKvStore(store);
    refuses();
    assert.throws(() => first.device.freeKvStore(store), InputError);
  });
}

function testWeights(target: TestDevice): void {
  test(`a device (${target.name}) takes weights in pieces of any type`, async () => {
    await using device = await target.create();
    const w = device.declareWeight({
      name: "w",
      shape: [3, 2],
      kind: "matrix",
    });
    device.plan(() => [
      device.ops.matmul(device.upload(x.data, x.shape), w),
    ]);
    await device.allocate();
    // 1, -2 in f16 and bf16; 0.5, 4 in f32, at an odd address.
    const f16 = Uint8Array.of(0x00, 0x3c, 0x00, 0xc0);
    const bf16 = Uint8Array.of(0x80, 0x3f, 0x00, 0xc0);
    const f32 = new Uint8Array(9);
    f32.set(new Uint8Array(Float32Array.of(0.5, 4).buffer), 1);
    const write = (
      firstRow: number,
      dtype: "f32" | "f16" | "bf16",
      bytes: Uint8Array,
    ) => device.writeWeight(w, { firstRow, rows: 1, dtype, bytes });
    await write(2, "f32", f32.subarray(1));
    await write(0, "f16", f16);
    await write(1, "bf16", bf16);
    const y = device.ops.matmul(device.upload(x.data, x.shape), w);
    const [actual] = await device.read([y]);
    assertClose(actual!, [-3, -3, 8.5, -5, -5, 17.5], { label: "x w^T" });
  });

  test(`a device (${target.name}) refuses weights that do not fit`, async () => {
    await using device = await target.create();
    const w = device.declareWeight({
      name: "w",
      shape: [3, 2],
      kind: "matrix",
    });
    await device.allocate();
    const rows = { firstRow: 2, rows: 1, dtype: "f32" } as const;
    const refuses = (rows: Parameters<typeof device.writeWeight>[1]) =>
      assert.rejects(device.writeWeight(w, rows), InputError);
    await refuses({ ...rows, bytes: new Uint8Array(7) });
    await refuses({ ...rows, rows: 2, bytes: new Uint8Array(16) });
  });
}

function testSteps(target: TestDevice): void {
  const start = () =>
    setUp(target, {
      plan: ({ ops, upload }) => {
        for (let i = 0; i < 4; i++) ops.stack([upload(x), ops.gelu(upload(x))]);
      },
    });

  test(`a device (${target.name}) reads several tensors, and values used later`, async () => {
    const { device, ops, upload } = await start();
    await using _ = device;
    const a = upload(x);
    const b = ops.scale(a, 2);
    const c = ops.add(b, a);
    const results = await device.read([c, b, a, ops.at(c, 1), b]);
    assert.deepEqual(results.map((r) => [...r]), [
      [3, 6, 9, 12],
      [2, 4, 6, 8],
      [1, 2, 3, 4],
      [9, 12],
      [2, 4, 6, 8],
    ]);
  });

  test(`a device (${target.name}) copies what it is given and what it gives`, async () => {
    const { device, ops, upload } = await start();
    await using _ = device;
    const mine = x.data.slice();
    const y = ops.scale(device.upload(mine, [2, 2]), 1);
    mine.fill(0);
    const [first] = await device.read([y]);
    const [second] = await device.read([ops.scale(upload(x), 5)]);
    assertClose(first!, x.data, { label: "the first step" });
    assertClose(second!, [5, 10, 15, 20], { label: "the second step" });
  });

  test(`a device (${target.name}) ends tensors with their step`, async () => {
    const { device, ops, upload } = await start();
    await using _ = device;
    const old = ops.scale(upload(x), 2);
    await device.submit();
    assert.throws(() => ops.scale(old, 2), InputError);
    device.discard();
    const dropped = upload(x);
    device.discard();
    await assert.rejects(device.read([dropped]), InputError);
    const [after] = await device.read([ops.scale(upload(x), 2)]);
    assertClose(after!, [2, 4, 6, 8], { label: "a step after all that" });
  });

  test(`a device (${target.name}) stays usable after arguments were refused`, async () => {
    const { device, ops, upload } = await start();
    await using _ = device;
    const a = upload(x);
    assert.throws(
      () => ops.add(a, upload(tensor([1, 4], [1, 2, 3, 4]))),
      InputError,
    );
    assert.throws(() => device.upload(new Float32Array(3), [2, 2]), InputError);
    device.discard();
    const [after] = await device.read([ops.scale(upload(x), 2)]);
    assertClose(after!, [2, 4, 6, 8], { label: "the next step" });
  });
}

function testAbort(target: TestDevice): void {
  test(`a device (${target.name}) rejects with the signal's reason and stays usable`, async () => {
    const size = 256;
    const w = randomTensor([size, size], { seed: 1, scale: 0.1 });
    const input = randomTensor([size, size], { seed: 2 });
    const { device, ops, weights, upload } = await setUp(target, {
      weights: { w: asWeight("matrix", w) },
      plan: ({ ops, weights, upload }) => {
        let y = upload(input);
        for (let i = 0; i < 40; i++) y = ops.matmul(y, weights.w);
      },
    });
    await using _ = device;
    const reason = new Error("enough");
    await assert.rejects(
      device.submit({ signal: AbortSignal.abort(reason) }),
      (error) => error === reason,
    );

    // Aborted while it runs: 0.7 G multiply-adds take longer than the timer.
    const controller = new AbortController();
    let y = upload(input);
    for (let i = 0; i < 40; i++) y = ops.matmul(y, weights.w);
    const timer = setTimeout(() => controller.abort(reason), 2);
    const run = device.read([y], { signal: controller.signal });
    await assert.rejects(run, (error) => error === reason);
    clearTimeout(timer);

    const [after] = await device.read([ops.scale(upload(x), 2)]);
    assertClose(after!, [2, 4, 6, 8], { label: "the next step" });
  });

  test(`a device (${target.name}) lets the event loop run during a step`, async () => {
    const size = 256;
    const w = randomTensor([size, size], { seed: 1, scale: 0.1 });
    const { device, ops, weights, upload } = await setUp(target, {
      weights: { w: asWeight("matrix", w) },
      plan: ({ ops, weights, upload }) => {
        let y = upload(w);
        for (let i = 0; i < 40; i++) y = ops.matmul(y, weights.w);
      },
    });
    await using _ = device;
    let y = upload(w);
    for (let i = 0; i < 40; i++) y = ops.matmul(y, weights.w);
    let ticks = 0;
    const ticker = setInterval(() => ticks++, 1);
    const startedAt = performance.now();
    await device.read([y]);
    const elapsedMs = performance.now() - startedAt;
    clearInterval(ticker);
    // A quarter of what one tick in 50 ms would give leaves room for a busy machine.
    // A GPU in software may take as long for one product, which is never divided.
    const wanted = Math.floor(
      elapsedMs / (target.kind === "webgpu" ? 800 : 200),
    );
    assert.ok(ticks >= wanted, `${ticks} ticks in ${elapsedMs} ms`);
  });
}

for (const target of await devices()) {
  testLife(target);
  testStores(target);
  testOwnership(target);
  testWeights(target);
  testSteps(target);
  testAbort(target);
}
