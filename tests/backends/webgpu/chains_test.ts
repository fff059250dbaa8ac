// Elementwise operations that follow each other, which the WebGPU device makes
// one kernel of: against the reference, and which kernels they become.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createWebGpuDevice } from "../../../src/backends/webgpu/device.ts";
import type { Tensor } from "../../../src/ops/ops.ts";
import { detectPlatform } from "../../../src/platform/detect.ts";
import { reference } from "../../ops/parity.ts";
import {
  assertTensorClose,
  asWeight,
  randomTensor,
  runOps,
  type Step,
  type TestDevice,
  testGpu,
} from "../../testing.ts";

const TOLERANCE = { rtol: 1e-5, atol: 2e-6 };
const EPS = 1e-6;
/** Loads of one element and of four, rows of part of a workgroup and of more than one. */
const WIDTHS = [5, 12, 260, 2052];
const ROWS = 3;

type Weights = { readonly w: ReturnType<typeof asWeight> };

/** Operations on two tensors, and the kernels that they become. */
interface Case {
  readonly name: string;
  readonly kernels: readonly string[];
  record(step: Step<Weights>, x: Tensor, y: Tensor): Tensor;
}

const CASES: readonly Case[] = [
  {
    name: "a norm between operations on one tensor",
    kernels: ["scale clamp rmsNorm silu"],
    record: ({ ops, weights }, x) => {
      const clamped = ops.clamp(ops.scale(x, 3), 0.9);
      return ops.silu(ops.rmsNorm(clamped, weights.w, EPS));
    },
  },
  {
    name: "a norm, a factor and a residual",
    kernels: ["rmsNorm scale add"],
    record: ({ ops }, x, y) =>
      ops.add(y, ops.scale(ops.rmsNorm(x, undefined, EPS), 0.5)),
  },
  {
    name: "sums of two norms",
    kernels: ["rmsNorm add", "rmsNorm addScaled", "mulVector"],
    record({ ops, weights }, x, y) {
      const sum = ops.add(y, ops.rmsNorm(x, weights.w, EPS));
      const both = ops.addScaled(sum, ops.rmsNorm(y, undefined, EPS), 0.7);
      return ops.mulVector(both, weights.w);
    },
  },
  {
    name: "vectors and other operands",
    kernels: ["mulVector addVector add mul"],
    record({ ops, weights: { w } }, x, y) {
      const shifted = ops.addVector(ops.mulVector(x, w), w);
      return ops.mul(y, ops.add(shifted, x));
    },
  },
  {
    name: "a gate that waits",
    kernels: ["relu softcap geluMul"],
    record: ({ ops }, x, y) => ops.geluMul(ops.softcap(ops.relu(x), 2), y),
  },
  {
    name: "what a gate multiplies, where it waits",
    kernels: ["tanh mulGelu"],
    record: ({ ops }, x, y) => ops.geluMul(y, ops.tanh(x)),
  },
  {
    name: "a sum that two read",
    kernels: ["add", "clamp rmsNorm add"],
    record({ ops, weights }, x, y) {
      const sum = ops.add(x, y);
      return ops.add(sum, ops.rmsNorm(ops.clamp(sum, 1), weights.w, EPS));
    },
  },
  {
    name: "a chain that is read in its midst",
    kernels: ["gelu", "gelu scale add"],
    record({ ops }, x) {
      const active = ops.gelu(x);
      const scaled = ops.scale(active, 3);
      return ops.add(active, scaled);
    },
  },
  {
    name: "more steps than a kernel has",
    kernels: ["scale tanh scale tanh scale tanh", "scale tanh"],
    record({ ops }, x) {
      let y = x;
      for (let i = 0; i < 4; i++) y = ops.tanh(ops.scale(y, 1.5));
      return y;
    },
  },
  {
    name: "more operands than a kernel has",
    kernels: ["rmsNorm add add add add", "add"],
    record({ ops, weights }, x, y) {
      let sum = ops.rmsNorm(x, weights.w, EPS);
      for (const other of [y, x, y, y, x]) sum = ops.add(sum, other);
      return sum;
    },
  },
];

const context = await testGpu();
if (context) {
  const target: TestDevice = {
    name: "webgpu",
    kind: "webgpu",
    async create() {
      return createWebGpuDevice({ platform: await detectPlatform(), context });
    },
  };
  for (const { name, kernels, record } of CASES) {
    test(`chains of operations match the reference: ${name}`, async () => {
      for (const width of WIDTHS) {
        const [x, y] = [1, 2].map((seed) =>
          randomTensor([ROWS, width], { seed })
        ) as [ReturnType<typeof randomTensor>, ReturnType<typeof randomTensor>];
        const w = asWeight("vector", randomTensor([width], { seed: 3 }), "f32");
        const run = (on: TestDevice) =>
          runOps(on, {
            weights: { w },
            record: (step) => record(step, step.upload(x), step.upload(y)),
          });
        assertTensorClose(await run(target), await run(reference), {
          ...TOLERANCE,
          label: `rows of ${width}`,
        });
      }
    });

    test(`chains of operations become few kernels: ${name}`, async () => {
      const platform = await detectPlatform();
      await using device = createWebGpuDevice({ platform, context });
      const { ops } = device;
      const w = device.declareWeight({
        name: "w",
        kind: "vector",
        shape: [8],
        format: "f32",
      });
      const upload = () => device.upload(new Float32Array(16), [2, 8]);
      device.plan(() => [
        record(
          { ops, weights: { w }, stores: [], upload },
          upload(),
          upload(),
        ),
      ]);
      const found = [...device.planned[0]!].flatMap(([label, count]) =>
        Array.from({ length: count }, () => label)
      );
      assert.deepEqual(found, kernels);
    });
  }
}
