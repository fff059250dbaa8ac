// A case of an operation's bench: how to record it, at a size to compare with
// the reference and at a size to time.
import type { WeightFormat } from "../src/core/dtype.ts";
import type { Shape } from "../src/core/shape.ts";
import { numel } from "../src/core/shape.ts";
import type { Device, DeviceName, WeightKind } from "../src/ops/device.ts";
import type { KvSpec, KvStore, Ops, Tensor, Weight } from "../src/ops/ops.ts";
import {
  assertClose,
  randomTensor,
  setUp,
  type TestDevice,
  type TestWeight,
} from "../tests/testing.ts";
import { bestOf, type Bounds, report } from "./harness.ts";

/** One operation at two sizes. */
export interface OpCase {
  /** The operation and what is special, such as `matmul decode`. */
  readonly name: string;
  readonly check: OpSize;
  readonly time: OpSize;
  /** Kinds of devices that can do it; all unless given. */
  readonly kinds?: readonly DeviceName[];
}

/** An operation at one size. */
export interface OpSize {
  /** Shapes of the tensors it takes. */
  readonly inputs: readonly Shape[];
  readonly weight?: {
    readonly kind: WeightKind;
    readonly shape: Shape;
    /** f32 unless given. */
    readonly format?: WeightFormat;
  };
  /** Weights in turn, so that they come from memory rather than a cache. */
  readonly weights?: number;
  readonly kv?: KvSpec;
  /** Stores in turn, so that they come from memory rather than a cache. */
  readonly stores?: number;
  record(args: OpArgs): Tensor;
  readonly multiplyAdds: number;
  /** Bytes that must move, where they are not those of inputs and weight. */
  readonly bytes?: number;
}

/** What `record` gets. */
export interface OpArgs {
  readonly ops: Ops;
  readonly inputs: readonly Tensor[];
  readonly weight: Weight;
  readonly store: KvStore;
}

/** Share of the largest value that a device may be off the reference. */
const TOLERANCE = 1e-5;
/** The same where activations become bytes. */
const QUANTIZED_TOLERANCE = 0.02;
/** Bytes of an element with its share of scales. */
export const ELEMENT_BYTES: Readonly<Record<WeightFormat, number>> = {
  f32: 4,
  q8: 34 / 32,
  q4: 18 / 32,
};
/** A step repeats the operation until it takes about so long. */
const STEP_SECONDS = 0.02;

/** Checks a case against the reference, times it, prints the result and gives its seconds. */
export async function benchOp(
  opCase: OpCase,
  target: TestDevice,
  reference: TestDevice,
  bounds: Bounds,
): Promise<number> {
  const wanted = await runOnce(opCase.check, reference);
  const found = await runOnce(opCase.check, target);
  const largest = wanted.reduce((m, x) => Math.max(m, Math.abs(x)), 0);
  const { time } = opCase;
  const format = time.weight?.format ?? "f32";
  const tolerance = format === "f32" ? TOLERANCE : QUANTIZED_TOLERANCE;
  assertClose(found, wanted, { atol: tolerance * largest, label: opCase.name });
  const { device, step } = await prepare(time, target, 1);
  const once = await bestOf(2, () => device.submit(step(device)));
  await device[Symbol.asyncDispose]();
  const repeats = Math.max(1, Math.min(400, Math.round(STEP_SECONDS / once)));
  const repeated = await prepare(time, target, repeats);
  const seconds = await bestOf(
    15,
    () => repeated.device.submit(repeated.step(repeated.device)),
  ) / repeats;
  await repeated.device[Symbol.asyncDispose]();
  report({
    name: opCase.name,
    device: target.name,
    dtype: format,
    shape: time.weight?.shape ?? time.inputs[0]!,
    seconds,
    bytes: time.bytes ?? bytesOf(time),
    multiplyAdds: time.multiplyAdds,
  }, bounds);
  return seconds;
}

function bytesOf({ inputs, weight }: OpSize): number {
  const elements = inputs.reduce((sum, shape) => sum + numel(shape), 0);
  if (!weight) return 4 * elements;
  const { shape, format = "f32" } = weight;
  return 4 * elements + ELEMENT_BYTES[format] * numel(shape);
}

async function runOnce(
  size: OpSize,
  target: TestDevice,
): Promise<Float32Array> {
  const { device, record } = await prepare(size, target, 1);
  await using _ = device;
  const [data] = await device.read([record()]);
  return data!;
}

interface Prepared {
  readonly device: Device;
  record(): Tensor;
  /** Records the repetitions. */
  step(device: Device): undefined;
}

async function prepare(
  size: OpSize,
  target: TestDevice,
  repeats: number,
): Promise<Prepared> {
  const { weight } = size;
  const values = size.inputs.map((shape, i) =>
    randomTensor(shape, { seed: i })
  );
  const weights: Record<string, TestWeight> = {};
  if (weight) {
    const { kind, shape, format } = weight;
    // The same values at several places of the device's memory.
    const one = { kind, format, ...randomTensor(shape, { seed: 100 }) };
    for (let i = 0; i < (size.weights ?? 1); i++) weights[`${i}`] = one;
  }
  const recordAll = (
    { ops, weights, stores, upload }: Pick<
      Awaited<ReturnType<typeof setUp>>,
      "ops" | "weights" | "stores" | "upload"
    >,
  ): Tensor => {
    const inputs = values.map(upload);
    const list = Object.values(weights);
    let result: Tensor | undefined;
    for (let i = 0; i < repeats; i++) {
      const weight = list[i % list.length]!;
      const store = stores[i % stores.length]!;
      result = size.record({ ops, inputs, weight, store });
    }
    return result!;
  };
  const setup = await setUp(target, {
    weights,
    kv: size.kv ? Array(size.stores ?? 1).fill(size.kv) : [],
    plan: recordAll,
  });
  const record = () => recordAll(setup);
  return {
    device: setup.device,
    record,
    step: () => {
      record();
      return undefined;
    },
  };
}
