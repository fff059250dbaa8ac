// A GPU that is lost in mid-generation: every call under way, waiting or made
// later rejects, and nothing waits for ever.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Gemma3nForConditionalGeneration } from "../../src/api/gemma3n_for_conditional_generation.ts";
import { pipeline } from "../../src/api/pipeline.ts";
import { DeviceError } from "../../src/core/errors.ts";
import type { Streamer } from "../../src/generation/streamer.ts";
import { detectPlatform } from "../../src/platform/detect.ts";
import { referencePath } from "../golden.ts";
import { expectedInputs } from "../model.ts";
import { testGpu } from "../testing.ts";

/** What waits for ever fails here. */
const LIMIT = { timeout: 120_000 };
const TINY = referencePath("tiny");
/** More than are generated before the GPU is lost. */
const TOKENS = 200;
const OPTIONS = { contextLength: 512, onWarning: () => {} } as const;

/** A GPU of its own for a test to lose. */
async function openGpuDevice(): Promise<GPUDevice> {
  const { gpu } = await detectPlatform();
  const adapter = await (await gpu!())!.requestAdapter();
  return await adapter!.requestDevice();
}

/** Tells what a generation told it; loses something after some tokens. */
class LosingStreamer implements Streamer {
  tokens = 0;
  readonly ends: unknown[] = [];
  private readonly after: number;
  private readonly lose: () => void;

  constructor(after: number, lose: () => void) {
    this.after = after;
    this.lose = lose;
  }

  put(ids: Int32Array): void {
    // The prompt comes first.
    if (ids.length === 1 && ++this.tokens === this.after) this.lose();
  }

  end(error?: unknown): void {
    this.ends.push(error);
  }
}

if (await testGpu()) {
  test(
    "a GPU lost in mid-generation rejects all calls of the model",
    LIMIT,
    async () => {
      const gpu = await openGpuDevice();
      const model = await Gemma3nForConditionalGeneration.fromPretrained(TINY, {
        ...OPTIONS,
        device: gpu,
      });
      const inputs = await expectedInputs("text");
      const generate = (streamer: Streamer) =>
        model.generate({
          ...inputs,
          maxNewTokens: TOKENS,
          minNewTokens: TOKENS,
          streamer,
        });
      const streamer = new LosingStreamer(3, () => gpu.destroy());
      const waiting = new LosingStreamer(Infinity, () => {});
      const calls = [
        generate(streamer),
        generate(waiting),
        model.forward(inputs),
      ];
      // All are waited for before one is looked at: none may be left over.
      const results = await Promise.allSettled(calls);
      const first = results[0]!;
      assert.equal(first.status, "rejected");
      assert.ok(first.reason instanceof DeviceError, String(first.reason));
      assert.match(first.reason.message, /lost.*; load the model again$/);
      assert.deepEqual(streamer.ends, [first.reason]);
      assert.ok(streamer.tokens >= 3 && streamer.tokens < TOKENS);
      // The second may have ended its turn before the loss, never without an end.
      assert.equal(results[1]!.status, "rejected");
      assert.equal(waiting.ends.length, 1);
      assert.ok(waiting.ends[0] instanceof DeviceError);
      await assert.rejects(model.forward(inputs), DeviceError);
      await assert.rejects(generate(streamer), DeviceError);
      await model.dispose();
      await gpu.lost;
    },
  );

  for (const [when, milliseconds] of [["at once", 0], ["later", 40]] as const) {
    test(
      `a GPU lost ${when}, whatever it does, ends a batch`,
      LIMIT,
      async () => {
        const gpu = await openGpuDevice();
        const model = await Gemma3nForConditionalGeneration.fromPretrained(
          TINY,
          {
            ...OPTIONS,
            device: gpu,
          },
        );
        const streamer = new LosingStreamer(Infinity, () => {});
        const call = model.generate({
          ...await expectedInputs("batch"),
          maxNewTokens: TOKENS,
          minNewTokens: TOKENS,
          streamer,
        });
        setTimeout(() => gpu.destroy(), milliseconds);
        await assert.rejects(call, DeviceError);
        assert.equal(streamer.ends.length, 1);
        await model.dispose();
      },
    );
  }

  test(
    "a stream whose GPU is lost gives its text, then throws",
    LIMIT,
    async () => {
      const gpu = await openGpuDevice();
      await using chat = await pipeline("text-generation", TINY, {
        ...OPTIONS,
        device: gpu,
      });
      let text = "";
      await assert.rejects(async () => {
        const options = { maxNewTokens: TOKENS, minNewTokens: TOKENS };
        for await (const piece of chat.stream("The capital", options)) {
          if (text === "") gpu.destroy();
          text += piece;
        }
      }, DeviceError);
      assert.notEqual(text, "");
    },
  );
}
