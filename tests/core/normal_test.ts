import assert from "node:assert/strict";
import { test } from "node:test";
import { normalCdf, normalQuantile } from "../../src/core/normal.ts";

const TOLERANCE = 1e-12;

test("normalCdf() and normalQuantile() undo each other", () => {
  for (const p of [0.001, 0.3, 0.5, 0.75, 0.95, 0.999]) {
    assert.ok(Math.abs(normalCdf(normalQuantile(p)) - p) < TOLERANCE);
  }
});

test("normalCdf() has its known values, and 0 and 1 far out", () => {
  assert.ok(Math.abs(normalCdf(1.6448536269514722) - 0.95) < TOLERANCE);
  assert.ok(Math.abs(normalCdf(-1) - 0.15865525393145707) < TOLERANCE);
  assert.equal(normalCdf(-Infinity), 0);
  assert.equal(normalCdf(Infinity), 1);
  assert.equal(normalCdf(9), 1);
});
