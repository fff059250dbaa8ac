// Shapes of elementwise operations and of those over rows.
import { formatShape, numel } from "../../core/shape.ts";
import type { OpShapes } from "../shapes.ts";
import { dims, lastDim, opError, requireShape, type Shaped } from "./check.ts";

/** Elementwise operations, and those over rows. */
export const elementwiseShapes: Pick<
  OpShapes,
  | "add"
  | "mul"
  | "scale"
  | "addScaled"
  | "mulVector"
  | "addVector"
  | "scaleRows"
  | "gelu"
  | "geluMul"
  | "relu"
  | "silu"
  | "glu"
  | "tanh"
  | "softcap"
  | "clamp"
  | "rmsNorm"
  | "gaussianTopK"
  | "matchMagnitude"
> = {
  add: (a, b) => alike("add", a, b),
  mul: (a, b) => alike("mul", a, b),
  scale: (x) => x.shape,
  addScaled: (a, b) => alike("addScaled", a, b),
  mulVector: (x, w) => withVector("mulVector", x, w),
  addVector: (x, w) => withVector("addVector", x, w),
  scaleRows(x, factors) {
    lastDim("scaleRows", "x", x);
    if (numel(factors.shape) !== x.shape[0]) {
      throw opError(
        "scaleRows",
        `x ${formatShape(x.shape)} has ${x.shape[0]} rows, factors ${
          formatShape(factors.shape)
        } has ${numel(factors.shape)} elements`,
      );
    }
    return x.shape;
  },
  gelu: (x) => x.shape,
  geluMul: (gate, up) => alike("geluMul", gate, up),
  relu: (x) => x.shape,
  silu: (x) => x.shape,
  glu(x) {
    const [rows, width] = dims("glu", "x", x, "[T,2D]");
    if (width! % 2 !== 0) {
      throw opError("glu", `x ${formatShape(x.shape)} has an odd width`);
    }
    return [rows!, width! / 2];
  },
  tanh: (x) => x.shape,
  softcap: (x) => x.shape,
  clamp: (x) => x.shape,
  rmsNorm(x, weight) {
    const width = lastDim("rmsNorm", "x", x);
    if (weight) requireShape("rmsNorm", "weight", weight, [width]);
    return x.shape;
  },
  gaussianTopK(x) {
    lastDim("gaussianTopK", "x", x);
    return x.shape;
  },
  matchMagnitude(x, target) {
    lastDim("matchMagnitude", "x", x);
    return alike("matchMagnitude", x, target);
  },
};

function alike(op: string, a: Shaped, b: Shaped): Shaped["shape"] {
  requireShape(op, "the second tensor", b, a.shape);
  return a.shape;
}

function withVector(op: string, x: Shaped, w: Shaped): Shaped["shape"] {
  requireShape(op, "w", w, [lastDim(op, "x", x)]);
  return x.shape;
}
