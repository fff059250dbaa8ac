// Elementwise operations that follow each other, which the WebGPU device makes
// one kernel of: against the reference, and which kernels they become.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { WebGpuContext } from "../../../src/backends/webgpu/context.ts";
import { createWebGpuDevice } from "../../../src/backends/webgpu/device.ts";
import type { Device } from "../../../src/ops/device.ts";
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
  type TestTensor,
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

type ProductWeights = Record<"w" | "v", ReturnType<typeof asWeight>>;

/** Operations behind a product of few rows `[T, 5]`, and their kernels; `y` has its shape. */
interface ProductCase {
  readonly name: string;
  readonly kernels: readonly string[];
  record(step: Step<ProductWeights>, x: Tensor, y: Tensor): Tensor;
}

const PRODUCTS: readonly ProductCase[] = [
  {
    name: "one operation",
    kernels: ["matmul softcap"],
    record: ({ ops, weights: { w } }, x) => ops.softcap(ops.matmul(x, w), 2),
  },
  {
    name: "a vector and another operand",
    kernels: ["matmul addVector gelu add"],
    record({ ops, weights: { w, v } }, x, y) {
      return ops.add(ops.gelu(ops.addVector(ops.matmul(x, w), v)), y);
    },
  },
  {
    name: "a gate and a residual",
    kernels: ["matmul mulGelu add"],
    record: ({ ops, weights: { w } }, x, y) =>
      ops.add(ops.gatedMatmul(x, w, y), y),
  },
  {
    name: "a norm, which needs whole rows",
    kernels: ["matmul", "scale rmsNorm"],
    record: ({ ops, weights: { w, v } }, x) =>
      ops.rmsNorm(ops.scale(ops.matmul(x, w), 3), v, EPS),
  },
  {
    name: "two readers",
    kernels: ["matmul", "gelu", "tanh add"],
    record({ ops, weights: { w } }, x) {
      const product = ops.matmul(x, w);
      return ops.add(ops.gelu(product), ops.tanh(product));
    },
  },
  {
    name: "a reader that comes when it has ended",
    kernels: ["matmul tanh", "matmul", "gelu add"],
    record({ ops, weights: { w } }, x) {
      const product = ops.matmul(x, w);
      const { shape } = product;
      const ended = ops.reshape(ops.tanh(product), shape);
      return ops.add(ops.gelu(product), ended);
    },
  },
  {
    name: "a product that is read as it is, too",
    kernels: ["matmul", "softcap mul"],
    record({ ops, weights: { w } }, x) {
      const product = ops.matmul(x, w);
      return ops.mul(
        ops.softcap(product, 2),
        ops.reshape(product, product.shape),
      );
    },
  },
];
const OUTPUTS = 5;

/** Names of the kernels that a step is planned to run. */
async function plannedKernels(
  context: WebGpuContext,
  record: (step: Omit<Step<unknown>, "weights">, device: Device) => Tensor,
): Promise<string[]> {
  const platform = await detectPlatform();
  await using device = createWebGpuDevice({ platform, context });
  const { ops } = device;
  const upload = ({ data, shape }: TestTensor) => device.upload(data, shape);
  device.plan(() => [record({ ops, stores: [], upload }, device)]);
  return [...device.planned[0]!].flatMap(([label, count]) =>
    Array.from({ length: count }, () => label)
  );
}

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
      const found = await plannedKernels(context, ({ ops, upload }, device) => {
        const w = device.declareWeight({
          name: "w",
          kind: "vector",
          shape: [8],
          format: "f32",
        });
        const [x, y] = [1, 2].map((seed) =>
          upload(randomTensor([2, 8], { seed }))
        ) as [Tensor, Tensor];
        return record({ ops, weights: { w }, stores: [], upload }, x, y);
      });
      assert.deepEqual(found, kernels);
    });
  }
  for (const { name, kernels, record } of PRODUCTS) {
    test(`a product of few rows ends with what follows: ${name}`, async () => {
      const w = asWeight(
        "matrix",
        randomTensor([OUTPUTS, 12], { seed: 3 }),
        "f32",
      );
      const v = asWeight("vector", randomTensor([OUTPUTS], { seed: 4 }), "f32");
      for (const rows of [1, 3]) {
        const x = randomTensor([rows, 12], { seed: 1 });
        const y = randomTensor([rows, OUTPUTS], { seed: 2 });
        const run = (on: TestDevice) =>
          runOps(on, {
            weights: { w, v },
            record: (step) => record(step, step.upload(x), step.upload(y)),
          });
        assertTensorClose(await run(target), await run(reference), {
          ...TOLERANCE,
          label: `${rows} rows`,
        });
      }
      const found = await plannedKernels(context, ({ ops, upload }, device) => {
        const declare = (kind: "matrix" | "vector", shape: number[]) =>
          device.declareWeight({ name: kind, kind, shape, format: "f32" });
        const weights = {
          w: declare("matrix", [OUTPUTS, 12]),
          v: declare("vector", [OUTPUTS]),
        };
        return record(
          { ops, weights, stores: [], upload },
          upload(randomTensor([1, 12], { seed: 1 })),
          upload(randomTensor([1, OUTPUTS], { seed: 2 })),
        );
      });
      assert.deepEqual(found, kernels);
    });
  }
}
