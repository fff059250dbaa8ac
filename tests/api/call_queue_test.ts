// The queue of calls and the pool of caches by themselves.
import assert from "node:assert/strict";
import { test } from "node:test";

import { CachePool } from "../../src/api/cache_pool.ts";
import { CallQueue } from "../../src/api/call_queue.ts";
import { DeviceError } from "../../src/core/errors.ts";
import type { SequenceCache } from "../../src/models/gemma3n/sequence_cache.ts";

const later = () => new Promise<void>((resolve) => setTimeout(resolve, 1));

/** Room for so many tokens; caches that know only their length. */
function room(tokens: number) {
  let free = tokens;
  const create = (maxLength: number): SequenceCache => {
    if (maxLength > free) throw new DeviceError("full");
    free -= maxLength;
    const dispose = () => void (free += maxLength);
    return { maxLength, dispose } as unknown as SequenceCache;
  };
  return { create, free: () => free };
}

test("calls run in order, one at a time, whatever becomes of them", async () => {
  const queue = new CallQueue();
  const log: string[] = [];
  const call = (name: string, fails = false) => async () => {
    log.push(`${name} begins`);
    await later();
    log.push(`${name} ends`);
    if (fails) throw new Error(name);
    return name;
  };
  const controller = new AbortController();
  const calls = [
    queue.run(call("a")),
    queue.run(call("b", true)),
    queue.run(call("c"), controller.signal),
    queue.run(call("d")),
  ];
  controller.abort(new Error("c is not wanted"));
  const results = await Promise.allSettled(calls);
  assert.deepEqual(
    results.map((r) => r.status === "fulfilled" ? r.value : r.reason.message),
    ["a", "b", "c is not wanted", "d"],
  );
  assert.deepEqual(
    log,
    ["a", "b", "d"].flatMap((name) => [`${name} begins`, `${name} ends`]),
  );
});

test("a closed queue lets the running call end and refuses the rest", async () => {
  const queue = new CallQueue();
  const running = queue.run(later);
  const waiting = queue.run(later);
  await Promise.resolve();
  queue.close(() => new Error("closed"));
  await running;
  await assert.rejects(waiting, { message: "closed" });
  await assert.rejects(queue.run(later), { message: "closed" });
  await queue.idle();
});

test("takers wait for room in their order", async () => {
  const { create, free } = room(100);
  const pool = new CachePool(create);
  const first = await pool.take([40, 40]);
  const order: string[] = [];
  const taking = (name: string, lengths: number[]) =>
    pool.take(lengths).then((caches) => (order.push(name), caches));
  const large = taking("large", [90]);
  const small = taking("small", [10]); // would fit, but came later
  await later();
  assert.deepEqual(order, []);
  assert.deepEqual(await pool.take([]), []);
  pool.give(first.slice(0, 1));
  await later();
  assert.deepEqual(order, []);
  pool.give(first.slice(1));
  pool.give(await large);
  pool.give(await small);
  assert.deepEqual(order, ["large", "small"]);
  assert.equal(free(), 100);
});

test("a taker that cannot be served or is aborted leaves nothing taken", async () => {
  const { create, free } = room(100);
  const pool = new CachePool(create);
  await assert.rejects(pool.take([60, 60]), DeviceError);
  assert.equal(free(), 100);
  const held = await pool.take([60]);
  const controller = new AbortController();
  const aborted = pool.take([60], controller.signal);
  const next = pool.take([40]);
  await later();
  controller.abort(new Error("enough"));
  await assert.rejects(aborted, { message: "enough" });
  pool.give(await next);
  pool.close(() => new Error("closed"));
  await assert.rejects(pool.take([1]), { message: "closed" });
  pool.give(held);
  assert.equal(free(), 100);
});

test("closing wakes those who wait", async () => {
  const { create } = room(10);
  const pool = new CachePool(create);
  await pool.take([10]);
  const waiting = [pool.take([1]), pool.take([2])];
  await later();
  pool.close(() => new Error("closed"));
  for (const taker of waiting) {
    await assert.rejects(taker, { message: "closed" });
  }
});
