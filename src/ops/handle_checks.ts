// What every device checks of the handles it gets back: that they are its own,
// and that they may be used now.
import { InputError } from "../core/errors.ts";
import { formatShape, numel, type Shape } from "../core/shape.ts";
import type { WeightKind } from "./device.ts";
import type { KvStore, Tensor, Weight } from "./ops.ts";

/** A device's class of handles. */
// deno-lint-ignore no-explicit-any -- of any constructor
type HandleClass<T> = abstract new (...args: any[]) => T;

/** A tensor that knows its step, which only one device has. */
export interface StepTensor extends Tensor {
  readonly step: symbol;
}

/** A weight that knows its device. */
export interface DeviceWeight extends Weight {
  readonly name: string;
  readonly kind: WeightKind;
  readonly device: symbol;
  /** Whether all its rows were written. */
  readonly complete: boolean;
}

/** A key-value store that knows its device. */
export interface DeviceKvStore extends KvStore {
  readonly device: symbol;
  /** Whether a caller has it. */
  readonly taken: boolean;
}

/**
 * Checks that a tensor is of a step.
 *
 * @throws {InputError} When it is of another one, or of another device.
 */
export function requireTensor<T extends StepTensor>(
  x: Tensor,
  type: HandleClass<T>,
  step: symbol,
): T {
  if (x instanceof type && x.step === step) return x;
  throw new InputError(
    `Cannot use a tensor ${formatShape(x.shape)}: it belongs to an ` +
      "earlier step or to another device",
  );
}

/** What {@link requireWeight} wants of a weight. */
export interface WantedWeight {
  readonly device: symbol;
  readonly kind: WeightKind;
  /** Whether it may lack values: a plan reads none. */
  readonly mayBeEmpty: boolean;
}

/**
 * Checks that a weight is of a device, of the right kind, and filled.
 *
 * @throws {InputError} When it is not.
 */
export function requireWeight<W extends DeviceWeight>(
  op: string,
  w: Weight,
  type: HandleClass<W>,
  { device, kind, mayBeEmpty }: WantedWeight,
): W {
  if (!(w instanceof type) || w.device !== device) {
    throw new InputError(
      `Cannot record "${op}": the weight belongs to another device`,
    );
  }
  if (w.kind !== kind) {
    throw new InputError(
      `Cannot record "${op}": weight "${w.name}" was declared as ` +
        `"${w.kind}", wanted "${kind}"`,
    );
  }
  if (!mayBeEmpty && !w.complete) {
    throw new InputError(
      `Cannot record "${op}": weight "${w.name}" is not filled; ` +
        "write all its rows first",
    );
  }
  return w;
}

/**
 * Checks that a store is of a device and taken.
 *
 * @throws {InputError} When it is not.
 */
export function requireKvStore<S extends DeviceKvStore>(
  op: string,
  store: KvStore,
  type: HandleClass<S>,
  device: symbol,
): S {
  if (store instanceof type && store.device === device && store.taken) {
    return store;
  }
  throw new InputError(
    `Cannot record "${op}": a key-value store was freed or belongs to ` +
      "another device",
  );
}

/**
 * Checks that host values fill a shape.
 *
 * @throws {InputError} When they do not.
 */
export function requireValues(values: Float32Array, shape: Shape): void {
  if (values.length === numel(shape)) return;
  throw new InputError(
    `Cannot upload a tensor ${formatShape(shape)}: found ` +
      `${values.length} elements, wanted ${numel(shape)}`,
  );
}

/**
 * Checks that no step runs.
 *
 * @throws {InputError} When one does.
 */
export function requireNoStep(running: boolean): void {
  if (!running) return;
  throw new InputError(
    "Cannot record while a step runs: await submit() or read() first",
  );
}
