// What tests of operations share: the devices present, seeded values,
// comparison with a tolerance, and one-call set-ups of a device.
import assert from "node:assert/strict";
import type { WeightFormat } from "../src/core/dtype.ts";
import {
  formatShape,
  numel,
  sameShape,
  type Shape,
} from "../src/core/shape.ts";
import { createWasmDevice } from "../src/backends/wasm/device.ts";
import { openGpu, type WebGpuContext } from "../src/backends/webgpu/context.ts";
import { createWebGpuDevice } from "../src/backends/webgpu/device.ts";
import { MATMUL_ROWS } from "../src/backends/webgpu/kernels/matmul_rows.ts";
import type { Device, DeviceName, WeightKind } from "../src/ops/device.ts";
import type { KvSpec, KvStore, Ops, Tensor, Weight } from "../src/ops/ops.ts";
import { createReferenceDevice } from "../src/ops/reference.ts";
import { detectPlatform } from "../src/platform/detect.ts";
import type { Platform } from "../src/platform/platform.ts";
import { startReusedWorker } from "./reused_workers.ts";

/** A device that tests run on. */
export interface TestDevice {
  /** For names of tests. */
  readonly name: string;
  readonly kind: DeviceName;
  /** Rows of x from which on quantised weights meet them as bytes; fewer meet them as floats. */
  readonly roundsFrom?: number;
  create(): Promise<Device>;
}

/** Every device present here, the reference first. */
export async function devices(): Promise<TestDevice[]> {
  const context = await testGpu();
  return [{
    name: "reference",
    kind: "reference",
    create: () => createReferenceDevice({ platform: testPlatform }),
  }, {
    name: "wasm",
    kind: "wasm",
    roundsFrom: 1,
    create: () => createWasmDevice({ platform: testPlatform }),
  }, {
    name: "wasm with 2 threads",
    kind: "wasm",
    roundsFrom: 1,
    create: () => createThreadedDevice(2),
  }, ...(context ? [webGpuDevice(context)] : [])];
}

/** Rows of x that a GPU rounds where it can: those of tiles. */
export function roundsFrom(
  { subgroups }: Pick<WebGpuContext, "subgroups">,
): number {
  return subgroups.packedDots ? MATMUL_ROWS + 1 : Infinity;
}

function webGpuDevice(context: WebGpuContext): TestDevice {
  return {
    name: "webgpu",
    kind: "webgpu",
    roundsFrom: roundsFrom(context),
    async create() {
      const { name } = await detectPlatform();
      const platform = { ...testPlatform, name };
      return createWebGpuDevice({ platform, context });
    },
  };
}

let opened: Promise<WebGpuContext | undefined> | undefined;

/**
 * The GPU of this machine, opened once; `undefined` where there is none. On the
 * runtime that G3N_REQUIRE_WEBGPU names there must be one.
 */
export function testGpu(): Promise<WebGpuContext | undefined> {
  return opened ??= openTestGpu();
}

async function openTestGpu(): Promise<WebGpuContext | undefined> {
  const { gpu, env, name } = await detectPlatform();
  const source = await gpu?.();
  const adapter = await source?.requestAdapter();
  if (source && adapter) {
    const { gpu } = await openGpu(source);
    return await openGpu(gpu);
  }
  const missing = `${name} finds no adapter for WebGPU here`;
  if (env("G3N_REQUIRE_WEBGPU") === name) throw new Error(missing);
  console.warn(`The tests of WebGPU are left out: ${missing}`);
  return undefined;
}

/** A WASM device that runs even the smallest step on its threads. */
export function createThreadedDevice(threads: number): Promise<Device> {
  return createWasmDevice({
    platform: testPlatform,
    threads,
    minSharedCost: 0,
    onWarning: (warning) => assert.fail(warning),
  });
}

/** Clock, threads and event loop of the runtime at hand; no files, no network. */
export const testPlatform: Platform = {
  name: "node",
  openFile: () => Promise.reject(new Error("No files in these tests")),
  stat: () => Promise.resolve("missing"),
  fetch: () => Promise.reject(new Error("No network in these tests")),
  yieldToEventLoop: () => new Promise((resolve) => setTimeout(resolve, 0)),
  now: () => performance.now(),
  availableParallelism: 2,
  startWorker: startReusedWorker,
  env: () => undefined,
};

/** Values with their shape, for {@link runOps}. */
export interface TestTensor {
  readonly shape: Shape;
  readonly data: Float32Array;
}

/** A tensor from a list of numbers. */
export function tensor(shape: Shape, values: ArrayLike<number>): TestTensor {
  assert.equal(values.length, numel(shape), `values of ${formatShape(shape)}`);
  return { shape, data: Float32Array.from(values) };
}

/** Options of {@link randomTensor}. */
export interface RandomOptions {
  readonly seed: number;
  /** Largest magnitude; 1 unless given. */
  readonly scale?: number;
}

/** Values spread evenly over `-scale .. scale`, the same for the same seed. */
export function randomTensor(
  shape: Shape,
  { seed, scale = 1 }: RandomOptions,
): TestTensor {
  // splitmix32: a counter through an integer hash.
  let state = Math.imul(seed + 1, 0x9e3779b9);
  const data = new Float32Array(numel(shape));
  for (let i = 0; i < data.length; i++) {
    state = (state + 0x9e3779b9) | 0;
    let x = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    x = (x ^ (x >>> 15)) >>> 0;
    data[i] = (x / 2 ** 31 - 1) * scale;
  }
  return { shape, data };
}

/** Tolerances of {@link assertClose}: `|a - e| <= atol + rtol * |e|`. */
export interface CloseOptions {
  readonly rtol?: number;
  readonly atol?: number;
  readonly label: string;
}

/** Fails with the place that is furthest off. */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { rtol = 0, atol = 0, label }: CloseOptions,
): void {
  assert.equal(actual.length, expected.length, `${label}: number of elements`);
  let worst = -1;
  let worstExcess = 0;
  let wrong = 0;
  for (let i = 0; i < expected.length; i++) {
    const a = actual[i]!, e = expected[i]!;
    if (Object.is(a, e)) continue;
    const excess = Math.abs(a - e) - atol - rtol * Math.abs(e);
    if (excess <= 0) continue; // false for NaN
    wrong++;
    if (worst < 0 || excess > worstExcess || Number.isNaN(excess)) {
      worst = i;
      worstExcess = excess;
    }
  }
  if (worst < 0) return;
  assert.fail(
    `${label}: element ${worst} is ${actual[worst]}, expected ` +
      `${expected[worst]} (rtol ${rtol}, atol ${atol}); ${wrong} of ` +
      `${expected.length} are off`,
  );
}

/** A weight of a test. */
export interface TestWeight extends TestTensor {
  readonly kind: WeightKind;
  readonly format?: WeightFormat | undefined;
  readonly sparseInput?: boolean;
  readonly sparseOutput?: boolean;
}

/** A tensor as a weight of this kind, kept in `format`. */
export function asWeight(
  kind: WeightKind,
  x: TestTensor,
  format?: WeightFormat,
): TestWeight {
  return { ...x, kind, format };
}

/** What a device holds before the first step of a test. */
export interface SetupOptions<W extends Record<string, TestWeight>> {
  readonly weights?: W;
  /** Stores to reserve and to create. */
  readonly kv?: readonly KvSpec[];
  /** Records the largest step, for devices that size their memory by it; gives what is read. */
  plan(step: Step<W>): Tensor | void;
}

/** What recording a step needs. */
export interface Step<W> {
  readonly ops: Ops;
  readonly weights: { readonly [K in keyof W]: Weight };
  readonly stores: readonly KvStore[];
  upload(x: TestTensor): Tensor;
}

/** A device with its weights written, and its stores. */
export interface Setup<W> extends Step<W> {
  readonly device: Device;
}

/** Declares, plans, allocates and fills. */
export async function setUp<W extends Record<string, TestWeight>>(
  { create }: TestDevice,
  { weights = {} as W, kv = [], plan }: SetupOptions<W>,
): Promise<Setup<W>> {
  const device = await create();
  const declared = Object.fromEntries(
    Object.entries(weights).map((
      [name, { shape, kind, format, sparseInput, sparseOutput }],
    ) => [
      name,
      device.declareWeight({
        name,
        shape,
        kind,
        format,
        sparseInput,
        sparseOutput,
      }),
    ]),
  ) as { [K in keyof W]: Weight };
  device.reserveKv(kv);
  const upload = (x: TestTensor): Tensor => device.upload(x.data, x.shape);
  const { ops } = device;
  device.plan(() => {
    const stores = kv.map((spec) => device.createKvStore(spec));
    const result = plan({ ops, weights: declared, stores, upload });
    return result ? [result] : [];
  });
  await device.allocate();
  for (const [name, { shape, data }] of Object.entries(weights)) {
    await device.writeWeight(declared[name]!, {
      firstRow: 0,
      rows: shape[0]!,
      dtype: "f32",
      bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    });
  }
  const stores = kv.map((spec) => device.createKvStore(spec));
  return { device, ops, weights: declared, stores, upload };
}

/** Options of {@link runOps}. */
export interface RunOptions<W extends Record<string, TestWeight>> {
  readonly weights?: W;
  readonly kv?: readonly KvSpec[];
  /** Records one step and returns what to read. */
  record(step: Step<W>): Tensor;
}

/** Runs one step on a fresh device and returns the result and its shape. */
export async function runOps<W extends Record<string, TestWeight>>(
  target: TestDevice,
  { record, ...options }: RunOptions<W>,
): Promise<TestTensor> {
  const setup = await setUp(target, { ...options, plan: record });
  await using device = setup.device;
  const result = record(setup);
  const { shape } = result;
  const [data] = await device.read([result]);
  return { shape, data: data! };
}

/** Fails unless the shapes are alike and the elements close. */
export function assertTensorClose(
  actual: TestTensor,
  expected: TestTensor,
  options: CloseOptions,
): void {
  assert.ok(
    sameShape(actual.shape, expected.shape),
    `${options.label}: shape ${formatShape(actual.shape)}, expected ${
      formatShape(expected.shape)
    }`,
  );
  assertClose(actual.data, expected.data, options);
}
