// What only the reference device checks: weights and stores used wrongly, and
// its exact memory figures.
import assert from "node:assert/strict";
import { test } from "node:test";
import { InputError } from "../../src/core/errors.ts";
import { asWeight, runOps, setUp, tensor } from "../testing.ts";
import { reference } from "./parity.ts";

const x = tensor([2, 2], [1, 2, 3, 4]);

test("the reference counts a tensor until its last use", async () => {
  await using device = await reference.create();
  const { ops } = device;
  device.declareWeight({ name: "w", shape: [3, 5], kind: "matrix" });
  device.reserveKv([{ capacity: 7, kvHeads: 2, headDim: 3 }]);
  device.plan(() => {
    let y = device.upload(new Float32Array(10), [10]);
    for (let i = 0; i < 5; i++) y = ops.relu(y);
    ops.concatColumns([ops.reshape(y, [1, 10]), ops.reshape(y, [1, 10])]);
    return [];
  });
  device.plan(() => [device.upload(new Float32Array(1), [1])]);
  assert.deepEqual(device.requiredBytes(), {
    weights: 3 * 5 * 4,
    kv: 2 * 7 * 2 * 3 * 4,
    activations: (10 + 20) * 4,
  });
});

test("the reference plans again after a plan that threw", async () => {
  await using device = await reference.create();
  assert.throws(
    () =>
      device.plan(() => {
        throw new RangeError("in the model");
      }),
    RangeError,
  );
  device.plan(() => [device.upload(x.data, x.shape)]);
  assert.equal(device.requiredBytes().activations, 16);
});

test("the reference refuses weights that are not filled", async () => {
  await using device = await reference.create();
  const w = device.declareWeight({
    name: "model.norm.weight",
    shape: [2],
    kind: "vector",
  });
  await device.allocate();
  const rows = { firstRow: 1, rows: 1, dtype: "f32" } as const;
  const bytes = new Uint8Array(4);
  // The same row twice does not make up for the other.
  await device.writeWeight(w, { ...rows, bytes });
  await device.writeWeight(w, { ...rows, bytes });
  const y = device.upload(x.data, x.shape);
  assert.throws(
    () => device.ops.mulVector(y, w),
    (error: unknown) =>
      error instanceof InputError &&
      error.message.includes('"model.norm.weight" is not filled'),
  );
  await device.writeWeight(w, { ...rows, firstRow: 0, bytes });
  device.ops.mulVector(y, w);
});

test("the reference refuses weights of another kind and of another device", async () => {
  const w = asWeight("vector", tensor([2], [1, 1]));
  const table = asWeight("conv2d", tensor([2, 2], [1, 1, 1, 1]));
  const first = await setUp(reference, {
    weights: { w, table },
    plan: () => {},
  });
  const second = await setUp(reference, { weights: { w }, plan: () => {} });
  const y = first.upload(x);
  assert.throws(
    () => first.ops.matmul(y, first.weights.table),
    /"table" was declared as "conv2d", wanted "matrix"/,
  );
  for (const foreign of [{ shape: [2] }, second.weights.w]) {
    assert.throws(
      () => first.ops.mulVector(y, foreign),
      /the weight belongs to another device/,
    );
  }
  assert.throws(
    () => second.ops.mulVector(y, second.weights.w),
    /earlier step or to another device/,
  );
});

test("the reference refuses stores that were freed", async () => {
  const spec = { capacity: 4, kvHeads: 1, headDim: 2 };
  const { device, ops, stores, upload } = await setUp(reference, {
    kv: [spec],
    plan: () => {},
  });
  const k = upload(tensor([1, 1, 2], [1, 2]));
  const segments = [{ firstRow: 0, rows: 1, firstPosition: 0 }];
  device.freeKvStore(stores[0]!);
  assert.throws(() => ops.appendKv(stores, segments, k, k), /was freed/);
  assert.throws(() => device.freeKvStore(stores[0]!), /it is free already/);
});

test("the reference refuses to record while a step runs", async () => {
  const { device, ops, upload } = await setUp(reference, { plan: () => {} });
  let y = upload(tensor([1 << 20], new Float32Array(1 << 20).fill(0.5)));
  for (let i = 0; i < 4; i++) y = ops.gelu(y);
  const run = device.read([y]);
  assert.throws(() => upload(x), /while a step runs/);
  await assert.rejects(device.submit(), /while a step runs/);
  assert.equal((await run)[0]!.length, 1 << 20);
});

test("the reference refuses work after it was disposed", async () => {
  const device = await reference.create();
  await device.allocate();
  await device[Symbol.asyncDispose]();
  await assert.rejects(device.submit(), /the device was disposed/);
});

test("the reference gives the same result when a step takes many slices", async () => {
  // 3 M multiply-adds a row, more than a slice.
  const rows = 3, width = 2048, outputs = 1500;
  const w = tensor(
    [outputs, width],
    Float32Array.from({ length: outputs * width }, (_, i) => i % 3 - 1),
  );
  const input = tensor(
    [rows, width],
    Float32Array.from({ length: rows * width }, (_, i) => i % 5 - 2),
  );
  const actual = await runOps(reference, {
    weights: { w: asWeight("matrix", w) },
    record: ({ ops, weights, upload }) => ops.matmul(upload(input), weights.w),
  });
  for (const [t, f] of [[0, 0], [1, 700], [2, 1499]] as const) {
    let expected = 0;
    for (let k = 0; k < width; k++) {
      expected += ((t * width + k) % 5 - 2) * ((f * width + k) % 3 - 1);
    }
    assert.equal(actual.data[t * outputs + f], expected, `[${t},${f}]`);
  }
});
