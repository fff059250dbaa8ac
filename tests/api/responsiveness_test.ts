// A long prefill leaves the event loop free and stops when it is told to.
import assert from "node:assert/strict";
import { test } from "node:test";

import { hostTensor } from "../../src/core/tensor.ts";
import { loadTiny } from "../model.ts";

const LARGE_GAP_MS = 100;
const ABORT_MS = 200;
const PROMPT_TOKENS = 4000;
/** How long the model is kept busy, and how often at most. */
const BUSY_MS = 500;
const ATTEMPTS = 5;

function longPrompt() {
  const ids = Int32Array.from(
    { length: PROMPT_TOKENS },
    (_, i) => 10 + i % 1900,
  );
  return { inputIds: hostTensor("int32", [1, PROMPT_TOKENS], ids) };
}

/** Largest time between ticks of a timer while `work` runs. */
async function largestGap(work: () => Promise<void>): Promise<number> {
  let last = performance.now();
  let gap = 0;
  const tick = () => {
    const now = performance.now();
    gap = Math.max(gap, now - last);
    last = now;
  };
  const timer = setInterval(tick, 5);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  tick();
  return gap;
}

for (const threads of [1, 2]) {
  test(`a timer keeps firing during a long prefill with threads: ${threads}`, async () => {
    await using model = await loadTiny("wasm", {
      contextLength: 4096,
      threads,
    });
    const inputs = longPrompt();
    // Kernels are compiled by then.
    await model.forward(inputs, { logitsToKeep: 1 });
    // Another process may hold the processor once, but not every time.
    const gaps: number[] = [];
    while (gaps.length < ATTEMPTS && !gaps.some((gap) => gap < LARGE_GAP_MS)) {
      gaps.push(
        await largestGap(async () => {
          const start = performance.now();
          while (performance.now() - start < BUSY_MS) {
            await model.forward(inputs, { logitsToKeep: 1 });
          }
        }),
      );
    }
    assert.ok(
      gaps.some((gap) => gap < LARGE_GAP_MS),
      `the largest gaps were ${gaps} ms`,
    );
  });
}

for (
  const [device, threads] of [
    ["reference", 1],
    ["wasm", 1],
    ["wasm", 2],
  ] as const
) {
  test(`an abort ends a long prefill soon on ${device} with threads: ${threads}, and the model goes on`, async () => {
    await using model = await loadTiny(device, {
      contextLength: 4096,
      threads,
    });
    const controller = new AbortController();
    let aborted = 0;
    setTimeout(() => {
      aborted = performance.now();
      controller.abort();
    }, 50);
    using cache = model.createCache();
    await assert.rejects(
      model.forward(longPrompt(), {
        pastKeyValues: cache,
        signal: controller.signal,
      }),
      { name: "AbortError" },
    );
    const taken = performance.now() - aborted;
    assert.ok(taken < ABORT_MS, `it took ${taken} ms to stop`);

    // The cache holds what whole steps have fed, and can start again.
    cache.crop(0);
    const inputs = {
      inputIds: hostTensor("int32", [1, 3], Int32Array.of(2, 5, 9)),
    };
    const again = await model.forward(inputs, { pastKeyValues: cache });
    const fresh = await model.forward(inputs);
    assert.deepEqual(again.logits.data, fresh.logits.data);
  });
}

test("generate() stops within a step, and other calls are not disturbed", async () => {
  await using model = await loadTiny("wasm");
  const { inputIds } = longPrompt();
  const prompt = hostTensor("int32", [1, 20], inputIds.data.slice(0, 20));
  const controller = new AbortController();
  const endless = model.generate({
    inputIds: prompt,
    maxNewTokens: 900,
    eosTokenId: [],
    signal: controller.signal,
  });
  const other = model.generate({ inputIds: prompt, maxNewTokens: 8 });
  setTimeout(() => controller.abort(), 30);
  await assert.rejects(endless, { name: "AbortError" });
  const { sequences } = await other;
  const alone = await model.generate({ inputIds: prompt, maxNewTokens: 8 });
  assert.deepEqual(sequences, alone.sequences);
});
