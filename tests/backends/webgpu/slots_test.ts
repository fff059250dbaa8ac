import assert from "node:assert/strict";
import { test } from "node:test";

import { Slots } from "../../../src/backends/webgpu/slots.ts";
import { StepBuffer } from "../../../src/backends/webgpu/tensors.ts";

/** A buffer that dispatch `first` writes and `last` uses last. */
function buffer(bytes: number, first: number, last: number): StepBuffer {
  const made = new StepBuffer(bytes, first);
  made.last = last;
  return made;
}

test("buffers share a slot only when none is in use by the other's dispatches", () => {
  const slots = new Slots();
  const placed = slots.place(
    [buffer(100, 0, 1), buffer(100, 1, 2), buffer(100, 2, 2)],
    3,
  );
  assert.notEqual(placed[0], placed[1]); // dispatch 1 reads one, writes the other
  assert.equal(placed[2], placed[0]);
  assert.equal(slots.bytes, 2 * 256);
});

test("a buffer takes the smallest slot that fits, and equal steps the same ones", () => {
  const slots = new Slots();
  const step = () => [buffer(1000, 0, 0), buffer(200, 1, 1)];
  slots.place([buffer(1000, 0, 1), buffer(200, 0, 1)], 2);
  const first = slots.place(step(), 2);
  assert.deepEqual(first.map(({ bytes }) => bytes), [1024, 256]);
  assert.deepEqual(slots.place(step(), 2), first);
  assert.equal(slots.all.length, 2);
});

test("a result that no dispatch writes has a slot, and slots without memory can be dropped", () => {
  const slots = new Slots();
  const placed = slots.place([buffer(0, 0, Infinity)], 0);
  assert.equal(placed.length, 1);
  slots.dropUntaken();
  assert.equal(slots.bytes, 0);
});
