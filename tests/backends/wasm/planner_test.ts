import assert from "node:assert/strict";
import { test } from "node:test";
import {
  align,
  ArenaPlan,
  type BufferLife,
  planArena,
} from "../../../src/backends/wasm/planner.ts";
import { KEPT, StepBuffers } from "../../../src/backends/wasm/step_buffers.ts";

/** A buffer that lives from one command to another. */
function buffer(bytes: number, first: number, last: number): BufferLife {
  return { bytes, first, last, offset: 0 };
}

/** Fails when two buffers share a byte at the same time. */
function assertApart(buffers: readonly BufferLife[], arena: number): void {
  for (const [i, a] of buffers.entries()) {
    assert.ok(a.offset + a.bytes <= arena, `buffer ${i} leaves the arena`);
    assert.equal(a.offset % 64, 0, `buffer ${i} is not aligned`);
    for (const [j, b] of buffers.entries()) {
      if (i >= j || a.last < b.first || b.last < a.first) continue;
      const apart = a.offset + a.bytes <= b.offset ||
        b.offset + b.bytes <= a.offset;
      assert.ok(apart, `buffers ${i} and ${j} overlap`);
    }
  }
}

test("planArena() keeps buffers that live together apart", () => {
  let state = 1;
  const random = (n: number) => {
    state = Math.imul(state, 1103515245) + 12345 & 0x7fffffff;
    return (state >> 8) % n;
  };
  for (let round = 0; round < 50; round++) {
    const commands = 1 + random(60);
    const buffers: BufferLife[] = [];
    for (let first = -1; first < commands; first++) {
      for (let i = random(4); i > 0; i--) {
        const last = random(5) === 0
          ? KEPT
          : Math.min(commands - 1, Math.max(first, 0) + random(12));
        buffers.push(buffer(random(3000), first, Math.max(last, first)));
      }
    }
    assertApart(buffers, planArena(buffers, commands));
  }
});

test("planArena() reuses the memory of buffers that are dead", () => {
  const chain = Array.from({ length: 100 }, (_, i) => buffer(640, i, i + 1));
  assert.equal(planArena(chain, 101), 2 * 640);
});

test("planArena() joins what is free side by side", () => {
  const buffers = [
    buffer(64, 0, 1),
    buffer(64, 0, 1),
    buffer(64, 0, 9),
    buffer(128, 2, 3),
  ];
  assert.equal(planArena(buffers, 10), 3 * 64);
  assert.equal(buffers[3]!.offset, 0);
});

test("planArena() keeps values of the host until their last use", () => {
  const buffers = [buffer(64, -1, 3), buffer(64, 0, 1), buffer(64, 2, 3)];
  assert.equal(planArena(buffers, 4), 2 * 64);
  assertApart(buffers, 2 * 64);
});

test("planArena() frees what nothing uses right away", () => {
  const buffers = [buffer(64, -1, -1), buffer(64, 0, 0), buffer(64, 1, 1)];
  assert.equal(planArena(buffers, 2), 64);
});

test("align() rounds up", () => {
  assert.deepEqual([0, 1, 64, 65].map(align), [0, 64, 64, 128]);
});

test("ArenaPlan places a step anew unless it is like the one before", () => {
  const plan = new ArenaPlan();
  const [uploads, results] = [new StepBuffers(true), new StepBuffers(false)];
  const record = (sizes: readonly number[], lasts: readonly number[]) => {
    uploads.count = results.count = 0;
    uploads.add(64, -1);
    sizes.forEach((bytes, i) => results.add(bytes, i));
    results.lasts.set(lasts);
    return plan.place(uploads, results, 3);
  };
  const offsets = () => [...results.offsets.subarray(0, results.count)];
  // The upload's place is free from command 0 on.
  assert.equal(record([64, 128, 64], [2, 2, 2]), 64 + 128 + 64);
  assert.deepEqual(offsets(), [0, 64, 192]);
  // A mark that only placing anew would remove.
  results.offsets.fill(7);
  assert.equal(record([64, 128, 64], [2, 2, 2]), 256);
  assert.deepEqual(offsets(), [7, 7, 7]);
  assert.equal(record([64, 128, 64], [1, 2, 2]), 192);
  assert.deepEqual(offsets(), [0, 64, 0]);
  assert.equal(record([64, 128], [1, KEPT]), 192);
  assert.equal(record([64, 128, 640], [1, 2, 2]), 64 + 128 + 640);
  assert.deepEqual(offsets(), [0, 64, 192]);
});
