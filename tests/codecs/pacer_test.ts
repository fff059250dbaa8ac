// When long work hands the event loop a turn.
import assert from "node:assert/strict";
import { test } from "node:test";

import { createPacer } from "../../src/codecs/pacer.ts";

const LONGER_THAN_A_SLICE_MS = 40;

function work(): void {
  const end = performance.now() + LONGER_THAN_A_SLICE_MS;
  while (performance.now() < end);
}

test("createPacer() yields once a slice of time is used up", async () => {
  let yields = 0;
  const yieldToEventLoop = () => {
    yields++;
    return Promise.resolve();
  };
  const pace = createPacer({ yieldToEventLoop });
  await pace();
  assert.equal(yields, 0);
  work();
  await pace();
  await pace();
  assert.equal(yields, 1);
});

test("createPacer() lets timers run by default", async () => {
  let ran = false;
  setTimeout(() => ran = true, 0);
  const pace = createPacer({});
  work();
  await pace();
  assert.ok(ran);
});

test("createPacer() throws the reason of an aborted signal", async () => {
  const pace = createPacer({ signal: AbortSignal.abort(new Error("enough")) });
  await assert.rejects(pace(), /enough/);
});
