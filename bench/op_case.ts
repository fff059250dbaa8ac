// A case of an operation's bench: how to record it, at a size to compare with
// the reference and at a size to time.
import type { Shape } from "../src/core/shape.ts";
import { numel } from "../src/core/shape.ts";
import type { Device, WeightKind } from "../src/ops/device.ts";
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
}

/** An operation at one size. */
export interface OpSize {
  /** Shapes of the tensors it takes. */
  readonly inputs: readonly Shape[];
  readonly weight?: { readonly kind: WeightKind; readonly shape: Shape };
  /** Weights in turn, so that they come from memory rather than a cache. */
  readonly weights?: number;
  readonly kv?: KvSpec;
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
/** A step repeats the operation until it takes about so long. */
const STEP_SECONDS = 0.02;

/** Checks a case against the reference, times it, and prints the result. */
export async function benchOp(
  opCase: OpCase,
  target: TestDevice,
  reference: TestDevice,
  bounds: Bounds,
): Promise<void> {
  const wanted = await runOnce(opCase.check, reference);
  const found = await runOnce(opCase.check, target);
  const largest = wanted.reduce((m, x) => Math.max(m, Math.abs(x)), 0);
  assertClose(found, wanted, { atol: TOLERANCE * largest, label: opCase.name });
  const { time } = opCase;
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
    dtype: "f32",
    shape: time.weight?.shape ?? time.inputs[0]!,
    seconds,
    bytes: time.bytes ?? bytesOf(time),
    multiplyAdds: time.multiplyAdds,
  }, bounds);
}

function bytesOf({ inputs, weight }: OpSize): number {
  const elements = inputs.reduce((sum, shape) => sum + numel(shape), 0);
  return 4 * (elements + (weight ? numel(weight.shape) : 0));
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
  for (let i = 0; weight && i < (size.weights ?? 1); i++) {
    const { kind, shape } = weight;
    weights[`${i}`] = { kind, ...randomTensor(shape, { seed: 100 + i }) };
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
      result = size.record({ ops, inputs, weight, store: stores[0]! });
    }
    return result!;
  };
  const setup = await setUp(target, {
    weights,
    kv: size.kv ? [size.kv] : [],
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
