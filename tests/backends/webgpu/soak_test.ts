// Nothing grows while tokens come; bench/models/webgpu_soak.ts takes longer.
import assert from "node:assert/strict";
import { test } from "node:test";

import { testGpu } from "../../testing.ts";
import { soak } from "./soak.ts";

const ROUNDS = 3;
/** Rounds in which the GPU's own part is made. */
const WARM_UP = 1;

if (await testGpu()) {
  test("buffers, bind groups and pipelines are as many after every round of tokens", async () => {
    const rounds = (await soak(ROUNDS))!;
    assert.equal(rounds.length, ROUNDS);
    const lasting = rounds.map(({ buffers, bufferBytes, made }) => ({
      buffers,
      bufferBytes,
      made,
    }));
    assert.ok(lasting[0]!.buffers > 0 && lasting[0]!.made > 0);
    const after = lasting.slice(WARM_UP);
    assert.deepEqual(after, Array(after.length).fill(after[0]));
  });
}
