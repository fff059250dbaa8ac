// Life of the module: given or loaded, one task at a time, whole again after
// a trap.
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  loadCodecs,
  pictureCodecs,
  soundCodecs,
} from "../../src/codecs/codecs.ts";
import { logMel } from "../../src/codecs/log_mel.ts";
import { InputError } from "../../src/core/errors.ts";
import { moduleBase64 } from "../../wasm/picture_codecs_module.ts";

const MAX_IDLE_MEMORY_BYTES = 32 * 2 ** 20;

test("loadCodecs() takes a compiled module", async () => {
  const bytes = Uint8Array.from(atob(moduleBase64), (c) => c.charCodeAt(0));
  await loadCodecs({ pictures: await WebAssembly.compile(bytes) });
  const bytesInUse = await pictureCodecs.run(
    "Cannot look",
    (codecs) => Promise.resolve(codecs.memoryBytes()),
  );
  assert.ok(bytesInUse > 0 && bytesInUse <= MAX_IDLE_MEMORY_BYTES);
});

test("run() runs one task after another", async () => {
  const events: string[] = [];
  const task = (name: string) => async () => {
    events.push(`${name} begins`);
    await new Promise((resolve) => setTimeout(resolve, 5));
    events.push(`${name} ends`);
  };
  const failing = async () => {
    await task("b")();
    throw new Error("b failed");
  };
  const results = await Promise.allSettled([
    soundCodecs.run("Cannot a", task("a")),
    soundCodecs.run("Cannot b", failing),
    soundCodecs.run("Cannot c", task("c")),
  ]);
  assert.deepEqual(
    events,
    ["a", "b", "c"].flatMap((name) => [
      `${name} begins`,
      `${name} ends`,
    ]),
  );
  assert.deepEqual(results.map((result) => result.status), [
    "fulfilled",
    "rejected",
    "fulfilled",
  ]);
});

test("run() makes an InputError of a trap and goes on", async () => {
  const samples = new Float32Array(513).fill(0.1);
  const options = {
    samplingRate: 16000,
    frameLength: 512,
    hopLength: 160,
    fftLength: 1024,
    featureSize: 128,
    minFrequency: 125,
    maxFrequency: 7600,
    preemphasis: 0.97,
    preemphasisHtkFlavor: true,
    inputScaleFactor: 1,
    melFloor: 1e-5,
  };
  const before = await logMel(samples, options);
  for (let i = 0; i < 20; i++) {
    // So many filters are beyond the address space: a panic.
    const impossible = { ...options, featureSize: 2 ** 31 };
    await assert.rejects(logMel(samples, impossible), (error) => {
      assert.ok(error instanceof InputError);
      assert.ok(error.cause instanceof WebAssembly.RuntimeError);
      return true;
    });
  }
  assert.deepEqual(await logMel(samples, options), before);
});

test("run() gives memory back after a large task", async () => {
  const grown = await pictureCodecs.run("Cannot grow", (codecs) => {
    const resizer = new codecs.ImageResizer(4000, 4000, 4000, 4000);
    const bytes = codecs.memoryBytes();
    resizer.free();
    return Promise.resolve(bytes);
  });
  assert.ok(grown > MAX_IDLE_MEMORY_BYTES);
  const after = await pictureCodecs.run(
    "Cannot look",
    (codecs) => Promise.resolve(codecs.memoryBytes()),
  );
  assert.ok(after <= MAX_IDLE_MEMORY_BYTES);
});
