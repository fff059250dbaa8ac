import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeToFloat32, STORAGE_BYTES } from "../../src/core/dtype.ts";

/** All 65536 pairs of bytes, little-endian. */
const HALVES = new Uint8Array(2 * 65536);
for (let i = 0; i < 65536; i++) {
  HALVES[2 * i] = i & 0xff;
  HALVES[2 * i + 1] = i >> 8;
}

/** The bits of a half as the bits of a float of the same value. */
function halfBitsToFloatBits(half: number): number {
  const sign = (half & 0x8000) << 16;
  let exponent = (half >> 10) & 0x1f;
  let fraction = half & 0x3ff;
  if (exponent === 31) return sign | 0x7f800000 | (fraction << 13);
  if (exponent === 0) {
    if (fraction === 0) return sign;
    exponent = 1;
    while (!(fraction & 0x400)) {
      fraction <<= 1;
      exponent--;
    }
    fraction &= 0x3ff;
  }
  return sign | ((exponent + 112) << 23) | (fraction << 13);
}

function assertAllHalves(
  actual: Float32Array,
  bitsOf: (half: number) => number,
): void {
  const view = new DataView(new ArrayBuffer(4));
  assert.equal(actual.length, 65536);
  for (let half = 0; half < 65536; half++) {
    view.setInt32(0, bitsOf(half));
    const expected = view.getFloat32(0);
    if (!Object.is(actual[half], expected)) {
      assert.fail(`0x${half.toString(16)} is ${actual[half]}, not ${expected}`);
    }
  }
}

test("decodeToFloat32 decodes every f16 value", () => {
  assertAllHalves(decodeToFloat32(HALVES, "f16"), halfBitsToFloatBits);
});

test("decodeToFloat32 decodes every bf16 value", () => {
  assertAllHalves(decodeToFloat32(HALVES, "bf16"), (half) => half << 16);
});

test("decodeToFloat32 reads f32 at odd addresses, into memory of its own", () => {
  const values = Float32Array.of(1.5, -0, Infinity, 1e-45, 3.1415927);
  const bytes = new Uint8Array(values.byteLength + 3);
  bytes.set(new Uint8Array(values.buffer), 3);
  const actual = decodeToFloat32(bytes.subarray(3), "f32");
  bytes.fill(0);
  assert.deepEqual([...actual], [...values]);
  assert.ok(Object.is(actual[1], -0));
});

test("decodeToFloat32 reads halves at odd addresses", () => {
  const bytes = Uint8Array.of(0xff, 0x00, 0x3c, 0x00, 0xc0);
  assert.deepEqual([...decodeToFloat32(bytes.subarray(1), "f16")], [1, -2]);
});

test("decodeToFloat32 ignores what is less than an element", () => {
  for (const dtype of ["f32", "f16", "bf16"] as const) {
    const bytes = new Uint8Array(3 * STORAGE_BYTES[dtype] - 1);
    assert.equal(decodeToFloat32(bytes, dtype).length, 2, dtype);
    assert.equal(decodeToFloat32(new Uint8Array(0), dtype).length, 0, dtype);
  }
});
