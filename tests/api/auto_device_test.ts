// Which device "auto" takes, with adapters that are made up.
import assert from "node:assert/strict";
import { test } from "node:test";

import { deviceFactory } from "../../src/api/devices.ts";
import { testPlatform } from "../testing.ts";

const LARGE = 1e9;

interface Asked {
  /** How often an adapter was asked for. */
  count: number;
}

/** Devices for a machine whose GPU has this description; none without. */
function factory(
  parameters: number,
  description: string | undefined,
  asked: Asked = { count: 0 },
) {
  const warnings: string[] = [];
  const adapter = description === undefined ? null : {
    info: { vendor: "", architecture: "", description },
    features: new Set<string>(),
    limits: {},
    requestDevice: () => Promise.reject(new Error("made up")),
  };
  const requestAdapter = () => {
    asked.count++;
    return Promise.resolve(adapter);
  };
  const gpu = () => Promise.resolve({ requestAdapter } as unknown as GPU);
  const create = deviceFactory({
    platform: { ...testPlatform, gpu },
    device: "auto",
    parameters,
    threads: 1,
    wasmModule: undefined,
    warn: (warning) => warnings.push(warning),
  });
  return { create, warnings };
}

test("auto looks for no GPU for a small model", async () => {
  const asked = { count: 0 };
  const { create } = factory(1e6, "a card", asked);
  await using device = await create();
  assert.equal(device.name, "wasm");
  assert.equal(asked.count, 0);
});

test("auto computes on the processor where there is no GPU in hardware", async () => {
  for (const description of [undefined, "llvmpipe (LLVM 15)", "SwiftShader"]) {
    const { create, warnings } = factory(LARGE, description);
    await using device = await create();
    assert.equal(device.name, "wasm");
    assert.deepEqual(warnings, []);
  }
});

test("auto says once that a GPU cannot be opened, and computes on the processor", async () => {
  const { create, warnings } = factory(LARGE, "a card");
  await using first = await create();
  await using second = await create();
  assert.deepEqual([first.name, second.name], ["wasm", "wasm"]);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /not the GPU: .*the adapter gave no device/);
});
