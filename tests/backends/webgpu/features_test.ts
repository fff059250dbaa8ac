import assert from "node:assert/strict";
import { test } from "node:test";

import { checkResults } from "../../../src/backends/webgpu/features.ts";
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

const context = await testGpu();
if (context) {
  test("subgroups of this GPU are of one size, or not used", () => {
    const { subgroupSize } = context.subgroups;
    assert.ok([0, 4, 8, 16, 32, 64, 128].includes(subgroupSize));
  });
}
