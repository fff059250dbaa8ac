// Devices on the GPU of the tests that lack some of its properties.
import type { WebGpuContext } from "../../../src/backends/webgpu/context.ts";
import { createWebGpuDevice } from "../../../src/backends/webgpu/device.ts";
import { detectPlatform } from "../../../src/platform/detect.ts";
import { roundsFrom, type TestDevice } from "../../testing.ts";

/** A device on the same GPU, some of whose properties are hidden. */
export function deviceOf(
  context: WebGpuContext,
  name: string,
  hidden: Partial<Record<keyof WebGpuContext, unknown>>,
): TestDevice {
  const values = Object.entries(hidden).map(([key, value]) => [key, { value }]);
  const changed = Object.create(context, Object.fromEntries(values));
  return {
    name,
    kind: "webgpu",
    roundsFrom: roundsFrom(changed),
    async create() {
      const platform = await detectPlatform();
      return createWebGpuDevice({ platform, context: changed });
    },
  };
}
