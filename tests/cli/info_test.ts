// g3n info: where a model would compute, and in which formats.
import assert from "node:assert/strict";
import { test } from "node:test";

import { EXIT_FAILURE, EXIT_OK, runCommandLine } from "../../src/cli/main.ts";
import { testGpu } from "../testing.ts";
import { FakeTerminal } from "./fake_terminal.ts";
import { SLOW, TINY } from "./g3n.ts";

async function info(
  ...args: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const terminal = new FakeTerminal({
    args: ["info", "-m", TINY, ...args],
    input: "",
  });
  const code = await runCommandLine(terminal);
  return { code, stdout: terminal.stdout, stderr: terminal.stderr };
}

const GPU = await testGpu();

test(
  "g3n info names the device, and formats of weights and caches",
  SLOW,
  async () => {
    const { stdout } = await info("--device", "wasm");
    assert.match(stdout, /^Device +wasm\n$/m);
    assert.match(stdout, / in f32: .*, cache [\d.]+ MB in f32, /);
    assert.match(
      (await info("--dtype", "q4")).stdout,
      / in q4: .*, cache [\d.]+ MB in f16, /,
    );
  },
);

test("--cache-dtype decides the memory of the cache", SLOW, async () => {
  const bytes = async (...args: string[]) => {
    const { stdout } = await info(
      "--json",
      "--context-length",
      "512",
      ...args,
    );
    const { memory, cacheDtype } = JSON.parse(stdout);
    return [cacheDtype, memory.kv] as [string, number];
  };
  const [, whole] = await bytes("--cache-dtype", "f32", "--dtype", "q8");
  const [, half] = await bytes("--cache-dtype", "f16", "--dtype", "q8");
  assert.ok(half < 0.6 * whole, `${half} of ${whole} bytes`);
  const [, quarter] = await bytes("--cache-dtype", "q8", "--dtype", "q8");
  assert.ok(quarter < 0.65 * half, `${quarter} of ${half} bytes`);
  const automatic = await bytes("--cache-dtype", "auto", "--dtype", "q8");
  assert.deepEqual(automatic, ["f16", half]);
});

if (GPU) {
  test(
    "g3n info --device webgpu describes the GPU and tries its features",
    SLOW,
    async () => {
      const { code, stdout } = await info("--device", "webgpu");
      assert.equal(code, EXIT_OK);
      for (
        const label of [
          "Device +webgpu",
          "GPU ",
          "Limits ",
          "Subgroups ",
          "Features ",
        ]
      ) {
        assert.match(stdout, new RegExp(`^${label}`, "m"));
      }
      const { gpu, kernels, memory, config } = JSON.parse(
        (await info("--device", "webgpu", "--json")).stdout,
      );
      const counts = Object.values(kernels) as number[];
      const total = counts.reduce((sum, count) => sum + count, 0);
      assert.ok(total > config.textConfig.numHiddenLayers);
      assert.match(stdout, new RegExp(`^Kernels +${total} a token: `, "m"));
      assert.ok(memory.optionalWeights > 0);
      assert.ok(memory.optionalWeights < memory.weights);
      const { subgroups, features } = gpu;
      assert.equal(subgroups.size, GPU.subgroups.subgroupSize);
      assert.equal(subgroups.works, subgroups.size > 0);
      assert.ok(subgroups.granted || !subgroups.works);
      for (const name of features) {
        assert.match(name, /^(shader-f16|timestamp-query)$/);
        assert.ok(stdout.includes(name));
      }
      const { maxBufferSize, maxStorageBufferBindingSize } = gpu.limits;
      assert.ok(maxBufferSize >= maxStorageBufferBindingSize);
      assert.ok(maxStorageBufferBindingSize >= 128 * 2 ** 20);
      assert.equal(typeof gpu.isSoftware, "boolean");
    },
  );
} else {
  test(
    "g3n info --device webgpu without a GPU says so, and fails",
    SLOW,
    async () => {
      const { code, stdout, stderr } = await info("--device", "webgpu");
      assert.equal(code, EXIT_FAILURE);
      assert.equal(stdout, "");
      assert.match(stderr, /^g3n: Cannot compute on "webgpu": [^\n]*\n$/);
    },
  );
}
