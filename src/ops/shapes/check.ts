// Checks that the shape functions of all groups share. Every message names the
// operation first, then what was found and what was wanted.
import { InputError } from "../../core/errors.ts";
import { formatShape, sameShape, type Shape } from "../../core/shape.ts";

/** Anything with a shape: a tensor or a weight. */
export interface Shaped {
  readonly shape: Shape;
}

/** An {@link InputError} about an operation's arguments. */
export function opError(op: string, problem: string): InputError {
  return new InputError(`Cannot record "${op}": ${problem}`);
}

/**
 * Checks that `x` has dimensions that `wanted` spells, such as `"[T,N,H]"`,
 * and returns them.
 *
 * @throws {InputError} When the number of dimensions differs.
 */
export function dims(
  op: string,
  name: string,
  x: Shaped,
  wanted: string,
): Shape {
  const rank = wanted.split(",").length;
  if (x.shape.length !== rank) {
    throw opError(
      op,
      `"${name}" has shape ${formatShape(x.shape)}, wanted ${wanted}`,
    );
  }
  return x.shape;
}

/**
 * Checks that `x` has exactly this shape.
 *
 * @throws {InputError} When it has another.
 */
export function requireShape(
  op: string,
  name: string,
  x: Shaped,
  wanted: Shape,
): void {
  if (!sameShape(x.shape, wanted)) {
    throw opError(
      op,
      `"${name}" has shape ${formatShape(x.shape)}, wanted ${
        formatShape(wanted)
      }`,
    );
  }
}

/**
 * Size of the last dimension.
 *
 * @throws {InputError} When `x` has no dimension.
 */
export function lastDim(op: string, name: string, x: Shaped): number {
  const last = x.shape.at(-1);
  if (last === undefined) {
    throw opError(op, `"${name}" has shape [], wanted at least one dimension`);
  }
  return last;
}

/**
 * Checks that a number counts something.
 *
 * @throws {InputError} When `value` is not an integer of at least `minimum`.
 */
export function requireCount(
  op: string,
  name: string,
  value: number,
  minimum = 0,
): void {
  if (!Number.isInteger(value) || value < minimum) {
    throw opError(
      op,
      `"${name}" is ${value}, wanted an integer of at least ${minimum}`,
    );
  }
}
