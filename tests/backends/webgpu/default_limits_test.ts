// Kernels of many rows on a device with WebGPU's default limits: 16 KB of
// workgroup memory, 256 threads of a workgroup, 128 MiB a binding.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { openGpu } from "../../../src/backends/webgpu/context.ts";
import { createWebGpuDevice } from "../../../src/backends/webgpu/device.ts";
import { detectPlatform } from "../../../src/platform/detect.ts";
import { reference } from "../../ops/parity.ts";
import {
  assertTensorClose,
  asWeight,
  randomTensor,
  runOps,
  type RunOptions,
  type TestDevice,
  testGpu,
  type TestWeight,
} from "../../testing.ts";

const TOLERANCE = { rtol: 1e-5, atol: 2e-5 };
const DEFAULT_WORKGROUP_BYTES = 16384;

/** Many enough for the large tile of a product. */
const ROWS = 2000;
const OUTPUTS = 2010;

async function defaultDevice(): Promise<TestDevice> {
  const platform = await detectPlatform();
  const adapter = await (await platform.gpu!())!.requestAdapter();
  const gpu = await adapter!.requestDevice();
  after(() => gpu.destroy());
  const context = await openGpu(gpu);
  assert.equal(
    context.limits.maxComputeWorkgroupStorageSize,
    DEFAULT_WORKGROUP_BYTES,
  );
  return {
    name: "webgpu with default limits",
    kind: "webgpu",
    create: () => Promise.resolve(createWebGpuDevice({ platform, context })),
  };
}

if (await testGpu()) {
  const device = await defaultDevice();
  const testHere = <W extends Record<string, TestWeight>>(
    label: string,
    options: RunOptions<W>,
  ) =>
    test(`${label} on ${device.name}`, async () => {
      const expected = await runOps(reference, options);
      const actual = await runOps(device, options);
      assertTensorClose(actual, expected, { ...TOLERANCE, label });
    });

  const w = randomTensor([OUTPUTS, 64], { seed: 1 });
  const x = randomTensor([ROWS, 64], { seed: 2 });
  testHere("matmul in large tiles", {
    weights: { w: asWeight("matrix", w, "q4") },
    record: ({ ops, weights, upload }) => ops.matmul(upload(x), weights.w),
  });

  const q = randomTensor([40, 2, 256], { seed: 3 });
  const kv = randomTensor([40, 1, 256], { seed: 4 });
  testHere("attention of many rows", {
    kv: [{ capacity: 40, kvHeads: 1, headDim: 256 }],
    record: ({ ops, stores, upload }) => {
      const segments = [{ firstRow: 0, rows: 40, firstPosition: 0 }];
      ops.appendKv(stores, segments, upload(kv), upload(kv));
      const options = { heads: 2, window: 20, scale: 0.1 };
      return ops.attention(upload(q), stores, segments, options);
    },
  });

  const filters = randomTensor([70, 8, 3, 3], { seed: 5, scale: 0.1 });
  const picture = randomTensor([17, 19, 8], { seed: 6 });
  testHere("conv2d", {
    weights: { w: asWeight("conv2d", filters) },
    record: ({ ops, weights, upload }) =>
      ops.conv2d(upload(picture), weights.w, {
        stride: [1, 1],
        padding: { top: 1, bottom: 1, left: 1, right: 1 },
      }),
  });
}
