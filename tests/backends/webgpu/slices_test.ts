import assert from "node:assert/strict";
import { test } from "node:test";

import type { RecordedDispatch } from "../../../src/backends/webgpu/recorder.ts";
import { Slices } from "../../../src/backends/webgpu/slices.ts";
import { testPlatform } from "../../testing.ts";

/** Dispatches of so many multiply-adds each. */
function dispatches(count: number, cost: number): RecordedDispatch[] {
  return Array.from({ length: count }, () => ({
    label: "test",
    code: "",
    reads: [],
    writes: [],
    paramsBuffer: undefined,
    workgroups: [1, 1, 1],
    cost,
  }));
}

test("slices cover a step, and shrink when they take long", async () => {
  let now = 0;
  const slices = new Slices({ ...testPlatform, now: () => now });
  const step = dispatches(100, 1e7);
  const first = slices.next(step, 0);
  assert.ok(first.end > 1 && first.end < step.length, `${first.end}`);
  await slices.time(first, () => {
    now += 1000;
    return Promise.resolve();
  });
  const second = slices.next(step, first.end);
  assert.equal(second.first, first.end);
  assert.ok(second.end - second.first < first.end);

  // However long a dispatch takes, each slice has one.
  for (let i = 0; i < 20; i++) {
    await slices.time(second, () => {
      now += 1e6;
      return Promise.resolve();
    });
  }
  assert.equal(slices.next(step, 5).end, 6);
  assert.equal(slices.next(step, 100).end, 100);
});

test("slices grow while the GPU is fast, but not by what little work took", async () => {
  let now = 0;
  const slices = new Slices({ ...testPlatform, now: () => now });
  const step = dispatches(1000, 1e7);
  const done = () => {
    now += 1;
    return Promise.resolve();
  };
  const first = slices.next(step, 0);
  await slices.time({ ...first, cost: 1 }, done);
  assert.equal(slices.next(step, 0).end, first.end);
  await slices.time(first, done);
  assert.equal(slices.next(step, 0).end, 2 * first.end);
});

test("slices run ahead once it is known how long they take, and not far", async () => {
  let now = 0;
  const slices = new Slices({ ...testPlatform, now: () => now });
  const step = dispatches(1000, 1e7);
  const takes = (ms: number) => () => {
    now += ms;
    return Promise.resolve();
  };
  const first = slices.next(step, 0);
  assert.equal(slices.mayRunAhead(first.cost), false);
  await slices.time(first, takes(1));
  assert.equal(slices.mayRunAhead(first.cost), false);
  const second = slices.next(step, first.end);
  await slices.time(second, takes(25));
  const third = slices.next(step, second.end);
  assert.equal(slices.mayRunAhead(third.cost), true);
  assert.equal(slices.mayRunAhead(3 * third.cost), true);
  assert.equal(slices.mayRunAhead(5 * third.cost), false);
});
