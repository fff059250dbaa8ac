import assert from "node:assert/strict";
import { test } from "node:test";
import { halfBits, halfValue, MAX_HALF } from "../../src/core/half.ts";

test("halfBits() gives back the bits of every half", () => {
  for (let bits = 0; bits < 65536; bits++) {
    const value = halfValue(bits);
    if (Number.isNaN(value)) {
      assert.equal(halfBits(value) & 0x7fff, 0x7e00);
    } else assert.equal(halfBits(value), bits);
  }
});

test("halfBits() rounds to the nearest, and ties to even", () => {
  for (let bits = 0; bits < 0x7bff; bits++) {
    const low = halfValue(bits);
    const middle = (low + halfValue(bits + 1)) / 2;
    const even = bits % 2 === 0 ? bits : bits + 1;
    assert.equal(halfBits(middle), even);
    assert.equal(halfBits(-middle), even | 0x8000);
    assert.equal(halfBits(middle * (1 - 2 ** -20)), bits);
    assert.equal(halfBits(middle * (1 + 2 ** -20)), bits + 1);
  }
});

test("halfBits() gives infinity from the middle beyond the largest half on", () => {
  assert.equal(halfValue(halfBits(MAX_HALF)), MAX_HALF);
  assert.equal(halfValue(halfBits(65519)), MAX_HALF);
  assert.equal(halfValue(halfBits(65520)), Infinity);
  assert.equal(halfValue(halfBits(-1e30)), -Infinity);
  assert.equal(halfBits(1e-30), 0);
});
