// A GPU that is lost, or refuses something: the step in progress and all later
// calls reject.
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  openGpu,
  type WebGpuContext,
} from "../../../src/backends/webgpu/context.ts";
import { createWebGpuDevice } from "../../../src/backends/webgpu/device.ts";
import { DeviceError } from "../../../src/core/errors.ts";
import { detectPlatform } from "../../../src/platform/detect.ts";
import { asWeight, setUp, tensor, testGpu } from "../../testing.ts";

const x = tensor([2], [1, 2]);

/** A GPU of its own, and a device on it. */
async function start() {
  const platform = await detectPlatform();
  const context = await openGpu((await platform.gpu!())!);
  const setup = await setUp({
    name: "webgpu",
    kind: "webgpu",
    create: () => Promise.resolve(createWebGpuDevice({ platform, context })),
  }, {
    weights: { w: asWeight("vector", tensor([2], [3, 4])) },
    plan: ({ ops, weights, upload }) => ops.mulVector(upload(x), weights.w),
  });
  return { ...setup, context };
}

async function lose(context: WebGpuContext): Promise<void> {
  context.gpu.destroy();
  await context.gpu.lost;
}

if (await testGpu()) {
  test("calls after the GPU was lost reject with a DeviceError", async () => {
    const { device, ops, weights, upload, context } = await start();
    await using _ = device;
    const [before] = await device.read([ops.mulVector(upload(x), weights.w)]);
    assert.deepEqual([...before!], [3, 8]);
    await lose(context);
    const isLoss = (error: unknown) =>
      error instanceof DeviceError && /lost/.test(error.message);
    await assert.rejects(
      device.read([ops.mulVector(upload(x), weights.w)]),
      isLoss,
    );
    const bytes = new Uint8Array(8);
    await assert.rejects(
      device.writeWeight(weights.w, {
        firstRow: 0,
        rows: 2,
        dtype: "f32",
        bytes,
      }),
      isLoss,
    );
  });

  test("a step that runs while the GPU is lost rejects with a DeviceError", async () => {
    const { device, ops, weights, upload, context } = await start();
    await using _ = device;
    const step = device.read([ops.mulVector(upload(x), weights.w)]);
    context.gpu.destroy();
    await assert.rejects(step, DeviceError);
  });

  test("what the GPU refuses is a DeviceError of the step", async () => {
    const { context } = await start();
    await assert.rejects(
      context.checked("run a step", () => {
        context.pipelines.pipeline("no WGSL", {}, {
          reads: 1,
          writes: 1,
          paramBytes: 0,
        }, "test");
      }),
      (error) =>
        error instanceof DeviceError && /run a step/.test(error.message),
    );
  });

  test("memory beyond the GPU's is a DeviceError with the figures", async () => {
    const platform = await detectPlatform();
    const context = await openGpu((await platform.gpu!())!);
    await using device = createWebGpuDevice({ platform, context });
    const heads = Math.ceil(context.limits.maxBufferSize / 2 ** 20);
    device.reserveKv([{ capacity: 2 ** 10, kvHeads: heads, headDim: 256 }]);
    await assert.rejects(
      device.allocate(),
      (error) =>
        error instanceof DeviceError &&
        /key-value stores \d+\.\d MiB/.test(error.message),
    );
  });
}
