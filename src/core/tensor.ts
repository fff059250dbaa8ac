// A host tensor: plain data with a shape, what processors give and models take.
import { InputError } from "./errors.ts";
import { formatShape, numel, type Shape } from "./shape.ts";

const DATA_TYPES = {
  float32: Float32Array,
  int32: Int32Array,
  uint8: Uint8Array,
} as const;

/** Typed array of each element type of a {@link HostTensor}. */
export interface HostData {
  /** 32-bit floats. */
  float32: Float32Array;
  /** 32-bit signed integers. */
  int32: Int32Array;
  /** Bytes; masks use 0 and 1. */
  uint8: Uint8Array;
}

/** Element type of a {@link HostTensor}. */
export type HostDtype = keyof HostData;

/** Data in host memory with its shape, row-major. */
export interface HostTensor<T extends HostDtype = HostDtype> {
  /** Element type. */
  readonly dtype: T;
  /** Dimensions, outermost first. */
  readonly shape: Shape;
  /** Elements; `data.length` is the product of `shape`. */
  readonly data: HostData[T];
}

/**
 * Makes a {@link HostTensor} and checks that the data fills the shape.
 *
 * @throws {InputError} When `data.length` is not the product of `shape`.
 *
 * @example
 * ```ts
 * import { hostTensor } from "@g3n/core";
 *
 * const inputIds = hostTensor("int32", [1, 3], Int32Array.of(2, 818, 5279));
 * console.log(inputIds.shape); // [1, 3]
 * ```
 */
export function hostTensor<T extends HostDtype>(
  dtype: T,
  shape: Shape,
  data: HostData[T],
): HostTensor<T> {
  if (data.length !== numel(shape)) {
    throw new InputError(
      `Cannot make a tensor of shape ${formatShape(shape)}: it has ${
        numel(shape)
      } elements, the data has ${data.length}`,
    );
  }
  return { dtype, shape, data };
}

/**
 * Checks a tensor that callers without types may have made of anything.
 *
 * @param name What it is called, for messages.
 * @param dims Names of the dimensions it must have, e.g. `["B", "T"]`.
 * @throws {InputError} When it is no tensor of this type and rank, or its data
 * does not fill its shape.
 */
export function checkHostTensor(
  tensor: unknown,
  name: string,
  dtype: HostDtype,
  dims: readonly string[],
): void {
  const fail = (found: string): never => {
    throw new InputError(
      `Cannot use "${name}": ${found}, wanted { dtype: "${dtype}", shape: [${
        dims.join(",")
      }], data: ${DATA_TYPES[dtype].name} }`,
    );
  };
  if (typeof tensor !== "object" || tensor === null) {
    return fail(`it is ${tensor === null ? "null" : typeof tensor}`);
  }
  const { dtype: found, shape, data } = tensor as Partial<HostTensor>;
  if (found !== dtype) {
    fail(
      found === undefined ? "it has no dtype" : `its dtype is "${found}"`,
    );
  }
  if (!(data instanceof DATA_TYPES[dtype])) {
    fail(
      `its data is ${(data as unknown)?.constructor?.name ?? String(data)}`,
    );
  }
  const isShape = Array.isArray(shape) &&
    shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  if (!isShape || shape.length !== dims.length) {
    fail(`its shape is ${JSON.stringify(shape)}`);
  }
  if (data!.length !== numel(shape!)) {
    fail(
      `its shape ${formatShape(shape!)} has ${
        numel(shape!)
      } elements and its data ${data!.length}`,
    );
  }
}
