import assert from "node:assert/strict";
import { test } from "node:test";
import { formatShape, numel, sameShape } from "../../src/core/shape.ts";

test("numel multiplies the dimensions", () => {
  assert.equal(numel([2, 3, 4]), 24);
  assert.equal(numel([]), 1);
  assert.equal(numel([5, 0, 4]), 0);
});

test("sameShape compares dimensions and their number", () => {
  assert.ok(sameShape([2, 3], [2, 3]));
  assert.ok(sameShape([], []));
  assert.ok(!sameShape([2, 3], [3, 2]));
  assert.ok(!sameShape([2, 3], [2, 3, 1]));
  assert.ok(!sameShape([2, 3, 1], [2, 3]));
});

test("formatShape spells a shape", () => {
  assert.equal(formatShape([2, 3]), "[2,3]");
  assert.equal(formatShape([]), "[]");
});
