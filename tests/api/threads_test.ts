// Models on several threads: the same bits as on one, and processes that end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  deviceFactory,
  resolveThreads,
  type ThreadsOption,
} from "../../src/api/devices.ts";
import { compileKernels } from "../../src/backends/wasm/kernel_module.ts";
import { InputError } from "../../src/core/errors.ts";
import type { Platform } from "../../src/platform/platform.ts";
import { expectedInputs, loadTiny } from "../model.ts";
import { runScript } from "../platform/runtime.ts";
import { testPlatform } from "../testing.ts";

const MAX_EXIT_MS = 2000;

for (const threads of [2, 3]) {
  for (const name of ["window", "mixed", "audio_batch"] as const) {
    test(`"${name}" on ${threads} threads gives the bits of one`, async () => {
      await using one = await loadTiny("wasm", { threads: 1 });
      await using many = await loadTiny("wasm", { threads });
      const inputs = await expectedInputs(name);
      const wanted = await one.forward(inputs);
      const found = await many.forward(inputs);
      assert.deepEqual(found.logits, wanted.logits);
      const options = { ...inputs, maxNewTokens: 8 };
      assert.deepEqual(
        (await many.generate(options)).sequences,
        (await one.generate(options)).sequences,
      );
    });
  }
}

for (const dtype of ["q8", "q4"] as const) {
  test(`threads give the bits of one in ${dtype}`, async () => {
    await using one = await loadTiny("wasm", { threads: 1, dtype });
    await using two = await loadTiny("wasm", { threads: 2, dtype });
    const inputs = await expectedInputs("window");
    const wanted = await one.forward(inputs);
    const found = await two.forward(inputs);
    assert.deepEqual(found.logits, wanted.logits);
  });
}

for (const mode of ["generate", "error"]) {
  test(`a process with threads ends by itself (${mode})`, async () => {
    const script = fileURLToPath(new URL("threads_script.ts", import.meta.url));
    let saidAt = 0;
    const { code, stdout, stderr } = await runScript(
      script,
      [mode],
      "",
      () => saidAt = performance.now(),
    );
    const waited = performance.now() - saidAt;
    assert.match(stdout, /done/, stderr);
    assert.equal(code, mode === "error" ? 1 : 0, stderr);
    assert.ok(waited < MAX_EXIT_MS, `it ended after ${waited} ms`);
  });
}

test('"auto" threads leave a processor to others, and need a runtime that has them', () => {
  const auto = (availableParallelism: number) =>
    resolveThreads("auto", { ...testPlatform, availableParallelism });
  assert.deepEqual([1, 2, 4, 5, 8, 64].map(auto), [1, 2, 4, 4, 7, 7]);
  const { startWorker: _, ...platform } = testPlatform;
  assert.equal(resolveThreads("auto", platform), 1);
  assert.equal(resolveThreads(3, testPlatform), 3);
});

test("large models compute on several threads unless told otherwise", async () => {
  const threadsOf = async (
    parameters: number,
    threads?: ThreadsOption,
    wasmModule?: WebAssembly.Module,
  ) => {
    let started = 0;
    const platform = {
      ...testPlatform,
      availableParallelism: 3,
      startWorker(...args: Parameters<NonNullable<Platform["startWorker"]>>) {
        started++;
        return testPlatform.startWorker!(...args);
      },
    };
    const create = deviceFactory({
      platform,
      device: "wasm",
      parameters,
      threads,
      wasmModule,
      warn: assert.fail,
    });
    await using device = await create();
    await device.allocate();
    return Math.max(1, started);
  };
  assert.equal(await threadsOf(99e6), 1);
  assert.equal(await threadsOf(100e6), 3);
  assert.equal(await threadsOf(100e6, 1), 1);
  assert.equal(await threadsOf(1e6, "auto"), 3);
  // What was compiled for one thread says how many are wanted.
  assert.equal(await threadsOf(1e9, undefined, await compileKernels()), 1);
});

test("fromPretrained() refuses threads that are no whole number above 0", async () => {
  for (const threads of [0, -1, 1.5, NaN]) {
    await assert.rejects(loadTiny("wasm", { threads }), InputError);
  }
});
