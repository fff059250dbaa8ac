import assert from "node:assert/strict";
import { test } from "node:test";
import { KvRegion } from "../../../src/backends/wasm/kv_region.ts";
import { DeviceError } from "../../../src/core/errors.ts";

const DEVICE = Symbol("device");
const SMALL = { capacity: 8, kvHeads: 1, headDim: 8 };
const LARGE = { ...SMALL, capacity: 24 };

test("a region gives out places that do not overlap", () => {
  const region = new KvRegion();
  region.reserve([SMALL, LARGE, SMALL]);
  assert.equal(region.bytes, (8 + 24 + 8) * 8 * 4 * 2);
  const stores = [LARGE, SMALL, SMALL].map((s) => region.create(s, DEVICE));
  const ends = stores.map((s) => s.offset + s.capacity * 8 * 4 * 2);
  const order = stores.map((s, i) => [s.offset, ends[i]!] as const)
    .sort(([a], [b]) => a - b);
  for (let i = 1; i < order.length; i++) {
    assert.ok(order[i - 1]![1] <= order[i]![0]);
  }
  assert.throws(() => region.create(SMALL, DEVICE), DeviceError);
});

test("halves take half the room, and a place for their poison", () => {
  const region = new KvRegion();
  region.reserve([{ ...LARGE, dtype: "f16" }]);
  assert.equal(region.bytes, 24 * 8 * 2 * 2 + 64);
});

test("bytes take a quarter of the room, and a scale for each key and value", () => {
  const region = new KvRegion();
  region.reserve([{ capacity: 20, kvHeads: 3, headDim: 7, dtype: "q8" }]);
  // 24 rows, in whole tiles, are 1056 bytes: not quite whole lines of 64.
  assert.equal(region.bytes, Math.ceil(24 * 3 * (7 + 4) * 2 / 64) * 64);
});

test("a region joins places that were given back", () => {
  const region = new KvRegion();
  region.reserve([SMALL, SMALL, SMALL]);
  const stores = [SMALL, SMALL, SMALL].map((s) => region.create(s, DEVICE));
  region.release(stores[0]!);
  region.release(stores[2]!);
  assert.throws(() => region.create(LARGE, DEVICE), DeviceError);
  region.release(stores[1]!);
  assert.equal(region.create(LARGE, DEVICE).offset, 0);
  assert.equal(stores.some((s) => s.taken), false);
});

test("a region says what is there when there is no room", () => {
  const region = new KvRegion();
  region.reserve([SMALL]);
  assert.throws(() => region.create(LARGE, DEVICE), (error) => {
    assert.ok(error instanceof DeviceError);
    assert.match(error.message, /1536 bytes/);
    assert.match(error.message, /512 bytes/);
    return true;
  });
});
