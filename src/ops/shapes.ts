// What each operation accepts and the shape it makes, for every device: one
// function per operation, called with the operation's own arguments before it
// is recorded.
import type { Shape } from "../core/shape.ts";
import type { Ops } from "./ops.ts";
import { dataShapes } from "./shapes/data.ts";
import { decoderShapes } from "./shapes/decoder.ts";
import { elementwiseShapes } from "./shapes/elementwise.ts";
import { pictureShapes } from "./shapes/pictures.ts";
import { soundShapes } from "./shapes/sound.ts";

/** Operations that few devices have, and check by themselves. */
type RareOps =
  | "argmax"
  | "decoderLayer"
  | "embedStreams"
  | "mergeStreams"
  | "repeat";

/** The arguments of each operation to the shape of its result; `void` where there is none. */
export type OpShapes = {
  readonly [K in Exclude<keyof Ops, RareOps>]: (
    ...args: Parameters<Ops[K]>
  ) => ReturnType<Ops[K]> extends void ? void : Shape;
};

/**
 * Checks an operation's arguments and returns the shape of its result:
 * `shapes.matmul(x, w)`. Each throws an `InputError` that names the operation,
 * the argument and both shapes.
 */
export const shapes: OpShapes = {
  ...dataShapes,
  ...elementwiseShapes,
  ...decoderShapes,
  ...pictureShapes,
  ...soundShapes,
};
