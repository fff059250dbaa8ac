import assert from "node:assert/strict";
import { test } from "node:test";

import { openGpu } from "../../../src/backends/webgpu/context.ts";
import {
  checkPackedDots,
  checkResults,
} from "../../../src/backends/webgpu/features.ts";
import { detectPlatform } from "../../../src/platform/detect.ts";
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
  test("openGpu() asks for subgroups alone, and knows what else is listed", async () => {
    const source = (await (await detectPlatform()).gpu!())!;
    const opened = await openGpu(source);
    try {
      const { features } = opened.gpu;
      const { features: listed } = (await source.requestAdapter())!;
      for (const name of ["shader-f16", "timestamp-query"] as const) {
        assert.equal(features.has(name), false, name);
        const isListed = opened.listedFeatures.includes(name);
        assert.equal(isListed, listed.has(name), name);
      }
    } finally {
      opened.destroy();
    }
  });

  test("subgroups of this GPU are of one size, or not used", () => {
    const { subgroupSize } = context.subgroups;
    assert.ok([0, 4, 8, 16, 32, 64, 128].includes(subgroupSize));
  });
}
