import assert from "node:assert/strict";
import { test } from "node:test";
import { createWasmDevice } from "../../../src/backends/wasm/device.ts";
import { layOut } from "../../../src/backends/wasm/memory.ts";
import { DeviceError, InputError } from "../../../src/core/errors.ts";
import type { StorageDtype } from "../../../src/core/dtype.ts";
import type { WeightKind } from "../../../src/ops/device.ts";
import { assertClose, testPlatform } from "../../testing.ts";

test("layOut() puts the parts one after another, aligned", () => {
  const layout = layOut({ weights: 640, kv: 128, activations: 64 });
  assert.equal(layout.kv - layout.weights, 640);
  assert.ok(layout.cursor >= layout.kv + 128);
  assert.ok(layout.activations > layout.cursor);
  assert.equal(layout.end, layout.activations + 64);
  for (const start of Object.values(layout)) assert.equal(start % 64, 0);
});

test("allocate() refuses more than 32-bit addresses reach, with the figures", async () => {
  await using device = await createWasmDevice({ platform: testPlatform });
  const shape = [2 ** 20, 1024];
  device.declareWeight({ name: "w", shape, kind: "matrix" });
  device.reserveKv([{ capacity: 4096, kvHeads: 2, headDim: 256 }]);
  await assert.rejects(device.allocate(), (error) => {
    assert.ok(error instanceof DeviceError);
    assert.match(error.message, /weights 4096\.0 MiB/);
    assert.match(error.message, /key-value stores 16\.0 MiB/);
    assert.match(error.message, /at most 4096\.0 MiB/);
    return true;
  });
});

test("a step larger than every plan is refused with the figures", async () => {
  await using device = await createWasmDevice({ platform: testPlatform });
  const record = (rows: number) => {
    const x = device.upload(new Float32Array(rows * 1024), [rows, 1024]);
    return device.ops.relu(x);
  };
  device.plan(() => [record(256)]);
  await device.allocate();
  record(600);
  await assert.rejects(device.submit(), (error) => {
    assert.ok(error instanceof DeviceError);
    assert.match(error.message, /4\.7 MiB.*2\.0 MiB/);
    return true;
  });
  const [y] = await device.read([record(256)]);
  assert.equal(y!.length, 256 * 1024);
});

test("a step after dispose() is refused", async () => {
  const device = await createWasmDevice({ platform: testPlatform });
  await device.allocate();
  await device[Symbol.asyncDispose]();
  await assert.rejects(device.submit(), InputError);
  assert.throws(() =>
    device.declareWeight({ name: "w", shape: [1], kind: "vector" })
  );
});

/** Values that all types hold exactly. */
function exact(n: number): Float32Array {
  return Float32Array.from({ length: n }, (_, i) => ((i * 37) % 128 - 64) / 4);
}

/** The bytes of values in a storage type, at an odd address. */
function encode(values: Float32Array, dtype: StorageDtype): Uint8Array {
  const bits = new Uint32Array(values.slice().buffer);
  const halves = Uint16Array.from(bits, (b) => {
    if (dtype === "bf16") return b >>> 16;
    const exponent = (b >>> 23 & 255) - 112;
    return b === 0 ? 0 : b >>> 16 & 0x8000 | exponent << 10 | b >>> 13 & 1023;
  });
  const from = dtype === "f32"
    ? new Uint8Array(bits.buffer)
    : new Uint8Array(halves.buffer);
  const odd = new Uint8Array(from.length + 1).subarray(1);
  odd.set(from);
  return odd;
}

// More than the 256 KiB that are packed at a time, in uneven pieces.
const ROWS = 37;
const WIDTH = 2600;

for (const dtype of ["f32", "f16", "bf16"] as const) {
  test(`writeWeight() packs pieces of ${dtype} larger than what is packed at a time`, async () => {
    const values = exact(ROWS * WIDTH);
    await using device = await createWasmDevice({ platform: testPlatform });
    const declare = (kind: WeightKind, shape: number[]) =>
      device.declareWeight({ name: kind, shape, kind });
    const matrix = declare("matrix", [ROWS, WIDTH]);
    const vector = declare("vector", [ROWS * WIDTH]);
    const ids = Int32Array.from({ length: ROWS }, (_, i) => i);
    const record = () => {
      const rows = device.ops.embedding(matrix, ids, 1);
      const ones = new Float32Array(ROWS * WIDTH).fill(1);
      const x = device.upload(ones, [ROWS * WIDTH]);
      return [rows, device.ops.mulVector(x, vector)];
    };
    device.plan(record);
    await device.allocate();
    const elementBytes = dtype === "f32" ? 4 : 2;
    for (const [firstRow, rows] of [[30, 7], [0, 1], [1, 29]] as const) {
      const part = values.subarray(firstRow * WIDTH, (firstRow + rows) * WIDTH);
      const bytes = encode(part, dtype);
      assert.equal(bytes.length, part.length * elementBytes);
      await device.writeWeight(matrix, { firstRow, rows, dtype, bytes });
    }
    const bytes = encode(values, dtype);
    const whole = { firstRow: 0, rows: ROWS * WIDTH, dtype, bytes };
    await device.writeWeight(vector, whole);
    for (const found of await device.read(record())) {
      assertClose(found, values, { label: dtype });
    }
  });
}
