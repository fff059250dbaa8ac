import assert from "node:assert/strict";
import { test } from "node:test";
import { DeviceError, InputError } from "../../src/core/errors.ts";
import { gumbel, uniformNoise } from "../../src/core/random.ts";
import { argmax, sampleToken } from "../../src/generation/choice.ts";
import { logisticRow } from "./rows.ts";

test("argmax() takes the first of equals", () => {
  assert.equal(argmax(Float32Array.of(1, 3, 3, 2)), 1);
  assert.equal(argmax(Float32Array.of(-0, 0)), 0);
  assert.equal(argmax(Float32Array.of(-Infinity, -1e30)), 1);
  assert.equal(argmax(Float32Array.of(0, Infinity, Infinity)), 1);
});

test("argmax() rejects NaN and rows without an allowed id", () => {
  assert.throws(() => argmax(Float32Array.of(1, NaN)), DeviceError);
  assert.throws(() => argmax(Float32Array.of(NaN, 1)), DeviceError);
  assert.throws(
    () => argmax(new Float32Array(3).fill(-Infinity)),
    InputError,
  );
});

test("sampleToken() equals the argmax of logits and noise, whatever it skips", () => {
  for (const scale of [0, 0.5, 3, 20]) {
    for (let step = 0; step < 40; step++) {
      const logits = logisticRow(501, step, scale);
      const key = { seed: 11, step, stream: 2 };
      const noise = uniformNoise(key);
      let best = 0;
      const values = Array.from(logits, (l, id) => l + gumbel(noise(id)));
      for (let id = 1; id < values.length; id++) {
        if (values[id]! > values[best]!) best = id;
      }
      assert.equal(sampleToken(logits, key), best);
    }
  }
});

test("sampleToken() never takes a forbidden id", () => {
  const logits = Float32Array.of(-Infinity, 0, -Infinity, -40, -Infinity);
  for (let step = 0; step < 200; step++) {
    assert.equal(sampleToken(logits, { seed: 1, step, stream: 0 }), 1);
  }
});

test("sampleToken() follows the softmax (chi-square)", () => {
  const DRAWS = 20_000;
  // 99.9 % quantile of chi-square with 6 degrees of freedom.
  const CHI_SQUARE_LIMIT = 22.458;
  const logits = Float32Array.of(1, 0, -1, 2, 0.5, -2, 1.5);
  const weights = Array.from(logits, Math.exp);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  for (const vary of ["step", "seed", "stream"] as const) {
    const counts = new Array<number>(logits.length).fill(0);
    for (let i = 0; i < DRAWS; i++) {
      const key = { seed: 42, step: 0, stream: 0, [vary]: i };
      counts[sampleToken(logits, key)]!++;
    }
    const chiSquare = counts.reduce((sum, count, id) => {
      const wanted = DRAWS * weights[id]! / total;
      return sum + (count - wanted) ** 2 / wanted;
    }, 0);
    assert.ok(chiSquare < CHI_SQUARE_LIMIT, `${vary}: ${chiSquare}`);
  }
});
