import assert from "node:assert/strict";
import { test } from "node:test";

import {
  checkHalves,
  checkPackedDots,
  checkResults,
  testHalves,
  testTimestamps,
} from "../../../src/backends/webgpu/features.ts";
import { testGpu } from "../../testing.ts";

/** What the test kernel gives with subgroups of this size. */
function results(size: number): Float32Array {
  return Float32Array.from({ length: 512 }, (_, i) => {
    const first = (i >> 1) - (i >> 1) % size;
    return i % 2 === 1 ? size : size * first + size * (size - 1) / 2;
  });
}

test("subgroups are used only when sizes and sums are right", () => {
  for (const size of [1, 4, 32, 64]) {
    assert.equal(checkResults(results(size)), size);
  }
  const wrongSum = results(32);
  wrongSum[400]! += 1;
  assert.equal(checkResults(wrongSum), 0);
  const wrongSize = results(32);
  wrongSize[401] = 16;
  assert.equal(checkResults(wrongSize), 0);
  assert.equal(checkResults(new Float32Array(512)), 0);
  assert.equal(checkResults(results(3)), 0);
});

test("halves work only when sums are right and powers are near", () => {
  const right = Float32Array.from({ length: 512 }, (_, i) => {
    const thread = i >> 1;
    return i % 2 === 0 ? 4 * thread + 1 : 2 ** (-thread / 32);
  });
  assert.ok(checkHalves(right));
  for (
    const [place, wrong] of [[400, 802], [401, 0], [401, NaN]] as const
  ) {
    assert.ok(!checkHalves(right.with(place, wrong)), `${wrong} at ${place}`);
  }
  assert.ok(!checkHalves(new Float32Array(512)));
});

test("packed products work only when sums and neighbours are right", () => {
  const right = Float32Array.from({ length: 512 }, (_, i) => {
    const thread = i >> 1;
    return i % 2 === 0 ? (thread & 127) - 156 : thread ^ 3;
  });
  assert.ok(checkPackedDots(right));
  assert.ok(!checkPackedDots(right.with(400, 43)));
  assert.ok(!checkPackedDots(right.with(401, 200)));
  assert.ok(!checkPackedDots(new Float32Array(512)));
});

const context = await testGpu();
if (context) {
  test("halves and timestamps work where the GPU has them", async () => {
    const { gpu } = context;
    for (
      const [name, works] of [
        ["shader-f16", await testHalves(gpu)],
        ["timestamp-query", await testTimestamps(gpu)],
      ] as const
    ) {
      assert.equal(works, gpu.features.has(name), name);
    }
  });

  test("subgroups of this GPU are of one size, or not used", () => {
    const { subgroupSize } = context.subgroups;
    assert.ok([0, 4, 8, 16, 32, 64, 128].includes(subgroupSize));
  });
}
