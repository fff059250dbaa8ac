// The builds of the kernels: chosen by trying, and alike to the last bit.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createWasmDevice } from "../../../src/backends/wasm/device.ts";
import {
  compileKernels,
  multipliesRight,
} from "../../../src/backends/wasm/kernel_module.ts";
import { DeviceError } from "../../../src/core/errors.ts";
import { base64 as plainBase64 } from "../../../wasm/kernels.ts";
import { base64 as relaxedBase64 } from "../../../wasm/kernels_relaxed.ts";
import {
  asWeight,
  randomTensor,
  runOps,
  testPlatform,
  type TestTensor,
} from "../../testing.ts";

const plain = Uint8Array.from(atob(plainBase64), (c) => c.charCodeAt(0));
const relaxed = Uint8Array.from(
  atob(relaxedBase64),
  (c) => c.charCodeAt(0),
);
const hasRelaxed = WebAssembly.validate(relaxed) &&
  await multipliesRight(await WebAssembly.compile(relaxed));

function products(
  module: WebAssembly.Module,
  format: "q8" | "q4",
): Promise<TestTensor> {
  const target = {
    name: "wasm",
    kind: "wasm",
    create: () => createWasmDevice({ platform: testPlatform, module }),
  } as const;
  const x = randomTensor([9, 256], { seed: 1 });
  const w = randomTensor([70, 256], { seed: 2 });
  return runOps(target, {
    weights: { w: asWeight("matrix", w, format) },
    record: ({ ops, weights, upload }) => ops.matmul(upload(x), weights.w),
  });
}

test("the plain build multiplies right everywhere", async () => {
  assert.ok(await multipliesRight(await WebAssembly.compile(plain)));
});

for (const format of ["q8", "q4"] as const) {
  test(
    `both builds give the same products of ${format}`,
    { skip: !hasRelaxed && "no relaxed SIMD here" },
    async () => {
      assert.deepEqual(
        await products(await WebAssembly.compile(relaxed), format),
        await products(await WebAssembly.compile(plain), format),
      );
    },
  );

  test(`the chosen build gives the same products of ${format}`, async () => {
    assert.deepEqual(
      await products(await compileKernels(), format),
      await products(await WebAssembly.compile(plain), format),
    );
  });
}

/** What functions of an element make of what is no ordinary number. */
async function odd(module: WebAssembly.Module): Promise<Float32Array[]> {
  await using device = await createWasmDevice({
    platform: testPlatform,
    module,
  });
  const { ops } = device;
  const record = () => {
    const values = Float32Array.of(NaN, -Infinity, Infinity, -0, 200, NaN);
    const x = device.upload(values, [1, 6]);
    return [ops.tanh(x), ops.softcap(x, 30), ops.silu(x), ops.gelu(x)];
  };
  device.plan(record);
  await device.allocate();
  return await device.read(record());
}

test(
  "both builds keep NaN, and agree about zeros and infinity",
  { skip: !hasRelaxed && "no relaxed SIMD here" },
  async () => {
    const found = await odd(await WebAssembly.compile(relaxed));
    for (const values of found) {
      assert.ok(
        Number.isNaN(values[0]) && Number.isNaN(values[5]),
        `${values}`,
      );
    }
    assert.deepEqual(found, await odd(await WebAssembly.compile(plain)));
  },
);

test("a module that is no kernel module is refused", async () => {
  // The header alone is a module without exports.
  const module = await WebAssembly.compile(plain.slice(0, 8));
  await assert.rejects(
    createWasmDevice({ platform: testPlatform, module }).then((device) =>
      device.allocate()
    ),
    DeviceError,
  );
});
