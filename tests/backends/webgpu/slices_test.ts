import assert from "node:assert/strict";
import { test } from "node:test";

import type { RecordedDispatch } from "../../../src/backends/webgpu/recorder.ts";
import { type Slice, Slices } from "../../../src/backends/webgpu/slices.ts";
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

/** Slices on a clock of their own. */
class Timed {
  now = 0;
  readonly slices = new Slices({ ...testPlatform, now: () => this.now });

  /** Runs a slice alone, in so many milliseconds. */
  run(slice: Slice, ms: number): void {
    this.slices.submits(slice);
    this.now += ms;
    this.slices.ended();
  }
}

test("slices cover a step, and shrink when they take long", () => {
  const timed = new Timed();
  const { slices } = timed;
  const step = dispatches(100, 1e7);
  const first = slices.next(step, 0);
  assert.ok(first.end > 1 && first.end < step.length, `${first.end}`);
  timed.run(first, 1000);
  const second = slices.next(step, first.end);
  assert.equal(second.first, first.end);
  assert.ok(second.end - second.first < first.end);

  // However long a dispatch takes, each slice has one.
  for (let i = 0; i < 20; i++) timed.run(second, 1e6);
  assert.equal(slices.next(step, 5).end, 6);
  assert.equal(slices.next(step, 100).end, 100);
});

test("slices grow while the GPU is fast, but not by what little work took", () => {
  const timed = new Timed();
  const { slices } = timed;
  const step = dispatches(1000, 1e7);
  const first = slices.next(step, 0);
  timed.run({ ...first, cost: 1 }, 1);
  assert.equal(slices.next(step, 0).end, first.end);
  timed.run(first, 1);
  assert.equal(slices.next(step, 0).end, 2 * first.end);
});

test("slices that nobody waited for are learnt from together", () => {
  const timed = new Timed();
  const { slices } = timed;
  const step = dispatches(1000, 1e7);
  const slice = slices.next(step, 0);
  const runTogether = (between: number, ms: number) => {
    for (let i = 0; i < 4; i++) {
      slices.submits(slice);
      if (i < 3) timed.now += between;
    }
    timed.now += ms;
    slices.ended();
    return slices.next(step, 0).end / slice.end;
  };
  // The host was busy elsewhere: nothing is known.
  assert.equal(runTogether(1000, 1), 1);
  assert.equal(runTogether(1, 4), 2);
  assert.equal(runTogether(1, 200), 1);
});

test("a GPU has some slices of a long step, or the ends of some steps, ahead", () => {
  const timed = new Timed();
  const { slices } = timed;
  const slice = slices.next(dispatches(1000, 1e7), 0);
  const ahead = (endsStep: boolean, msEach: number) => {
    let count = 0;
    for (; slices.mayRunAhead(slice, endsStep); count++) slices.submits(slice);
    timed.now += msEach * count;
    slices.ended();
    return count;
  };
  assert.equal(slices.isBusy, false);
  assert.equal(ahead(false, 25), 4);
  assert.equal(ahead(true, 20), 8);
  assert.equal(ahead(true, 2), 10);
  assert.equal(ahead(true, 2), 16);
});
