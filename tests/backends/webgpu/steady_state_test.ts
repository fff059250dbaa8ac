// Decoding makes nothing new on the GPU once it has begun: buffers, bind groups
// and pipelines cost more than the work of a token.
import assert from "node:assert/strict";
import { test } from "node:test";

import { expectedInputs, loadTiny } from "../../model.ts";
import { stillClock } from "../../still_clock.ts";
import { testGpu } from "../../testing.ts";

/** Tokens after which nothing may be made. */
const WARM_UP = 3;
/** The 14th is an id of the vision vocabulary, which takes other operations. */
const TOKENS = 12;

const context = await testGpu();
if (context) {
  // The host chooses from logits, or the GPU does, some tokens at a time.
  for (const outputLogits of [true, false]) {
    const chooser = outputLogits ? "the host" : "the GPU";
    test(`decoding makes no buffer, bind group or pipeline after its first tokens, which ${chooser} chooses`, async () => {
      const { gpu } = context;
      let made = 0;
      const originals = {
        createBuffer: gpu.createBuffer,
        createBindGroup: gpu.createBindGroup,
        createComputePipeline: gpu.createComputePipeline,
      };
      const count = <A extends unknown[], R>(make: (...args: A) => R) =>
        function (...args: A): R {
          made++;
          return make.apply(gpu, args);
        };
      gpu.createBuffer = count(originals.createBuffer);
      gpu.createBindGroup = count(originals.createBindGroup);
      gpu.createComputePipeline = count(originals.createComputePipeline);
      try {
        await using model = await loadTiny("webgpu");
        assert.ok(made > 0, "the counters count");
        const counts: number[] = [];
        using _ = stillClock();
        await model.generate({
          ...await expectedInputs("text"),
          maxNewTokens: TOKENS,
          eosTokenId: [],
          outputLogits,
          streamer: { put: () => void counts.push(made), end: () => {} },
        });
        assert.equal(counts.length, 1 + TOKENS); // the prompt comes first
        const after = counts.slice(WARM_UP);
        assert.deepEqual(after, Array(after.length).fill(after[0]));
      } finally {
        Object.assign(gpu, originals);
      }
    });
  }

  test("a longer conversation compiles no kernel anew", async () => {
    await using model = await loadTiny("webgpu");
    const inputs = await expectedInputs("text");
    await model.generate({ ...inputs, maxNewTokens: 3, eosTokenId: [] });
    const before = context.pipelines.made.pipelines;
    // Its cache has another size.
    await model.generate({ ...inputs, maxNewTokens: 5, eosTokenId: [] });
    assert.equal(context.pipelines.made.pipelines, before);
  });
}
