// Elementwise operations, and those over rows.
import { numel, type Shape } from "../../../core/shape.ts";
import type { Ops, Tensor, Weight } from "../../../ops/ops.ts";
import { shapes } from "../../../ops/shapes.ts";
import { OP } from "../op_codes.ts";
import type { Recorder } from "../recorder.ts";
import {
  COPY_COST,
  elementWork,
  EXP_COST,
  rowWork,
  width,
  workOf,
} from "./rows.ts";

/** Operations of this group. */
type ElementwiseOps = Pick<
  Ops,
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
>;

/** Elementwise operations, and those over rows. */
export function elementwiseOps(r: Recorder): ElementwiseOps {
  return { ...mapOps(r), ...pairOps(r), ...rowOps(r) };
}

/** Operations on one tensor. */
function mapOps(
  r: Recorder,
): Pick<
  Ops,
  "scale" | "gelu" | "relu" | "silu" | "tanh" | "softcap" | "clamp"
> {
  const map = (op: number, shape: Shape, x: Tensor, cost: number, by = 0) => {
    const out = r.output(shape);
    r.begin(op, elementWork(out, cost)).tensor(r.own(x)).tensor(out).number(by);
    return out;
  };
  return {
    scale: (x, factor) =>
      map(OP.scale, shapes.scale(x, factor), x, COPY_COST, factor),
    gelu: (x) => map(OP.gelu, shapes.gelu(x), x, EXP_COST),
    relu: (x) => map(OP.relu, shapes.relu(x), x, COPY_COST),
    silu: (x) => map(OP.silu, shapes.silu(x), x, EXP_COST),
    tanh: (x) => map(OP.tanh, shapes.tanh(x), x, EXP_COST),
    softcap: (x, cap) =>
      map(OP.softcap, shapes.softcap(x, cap), x, EXP_COST, cap),
    clamp: (x, limit) =>
      map(OP.clamp, shapes.clamp(x, limit), x, COPY_COST, limit),
  };
}

/** Operations on two tensors of one shape. */
function pairOps(
  r: Recorder,
): Pick<Ops, "add" | "mul" | "addScaled" | "geluMul"> {
  const zip = (
    op: number,
    shape: Shape,
    [a, b]: readonly [Tensor, Tensor],
    cost: number,
    by = 0,
  ) => {
    const out = r.output(shape);
    r.begin(op, elementWork(out, cost))
      .tensor(r.own(a)).tensor(r.own(b)).tensor(out).number(by);
    return out;
  };
  return {
    add: (a, b) => zip(OP.add, shapes.add(a, b), [a, b], COPY_COST),
    mul: (a, b) => zip(OP.mul, shapes.mul(a, b), [a, b], COPY_COST),
    addScaled(a, b, factor) {
      const shape = shapes.addScaled(a, b, factor);
      return zip(OP.addScaled, shape, [a, b], COPY_COST, factor);
    },
    geluMul: (gate, up) =>
      zip(OP.geluMul, shapes.geluMul(gate, up), [gate, up], EXP_COST),
  };
}

function withVector(
  r: Recorder,
  op: "mulVector" | "addVector",
  x: Tensor,
  w: Weight,
): Tensor {
  const vector = r.ownWeight(op, w, "vector");
  const out = r.output(shapes[op](x, w));
  r.begin(OP[op], rowWork(out, COPY_COST))
    .tensor(r.own(x)).weight(vector).tensor(out).sizes(width(out));
  return out;
}

function scaleRows(r: Recorder, x: Tensor, factors: Tensor): Tensor {
  const out = r.output(shapes.scaleRows(x, factors));
  const rows = out.shape[0]!;
  const size = rows === 0 ? 0 : numel(out.shape) / rows;
  r.begin(OP.scaleRows, workOf(size === 0 ? 0 : rows, size * COPY_COST))
    .tensor(r.own(x)).tensor(r.own(factors)).tensor(out).sizes(size);
  return out;
}

function rowOps(
  r: Recorder,
): Pick<
  Ops,
  | "mulVector"
  | "addVector"
  | "scaleRows"
  | "glu"
  | "rmsNorm"
  | "gaussianTopK"
  | "matchMagnitude"
> {
  return {
    mulVector: (x, w) => withVector(r, "mulVector", x, w),
    addVector: (x, w) => withVector(r, "addVector", x, w),
    scaleRows: (x, factors) => scaleRows(r, x, factors),
    glu(x) {
      const out = r.output(shapes.glu(x));
      r.begin(OP.glu, rowWork(out, EXP_COST))
        .tensor(r.own(x)).tensor(out).sizes(width(out));
      return out;
    },
    rmsNorm(x, weight, eps) {
      const out = r.output(shapes.rmsNorm(x, weight, eps));
      r.begin(OP.rmsNorm, rowWork(out, 2 * COPY_COST)).tensor(r.own(x));
      if (weight) r.weight(r.ownWeight("rmsNorm", weight, "vector"));
      else r.sizes(0);
      r.tensor(out).sizes(width(out)).number(eps);
      return out;
    },
    gaussianTopK(x, multiplier) {
      const out = r.output(shapes.gaussianTopK(x, multiplier));
      r.begin(OP.gaussianTopK, rowWork(out, 3 * COPY_COST))
        .tensor(r.own(x)).tensor(out).sizes(width(out)).number(multiplier);
      return out;
    },
    matchMagnitude(x, target, eps) {
      const out = r.output(shapes.matchMagnitude(x, target, eps));
      r.begin(OP.matchMagnitude, rowWork(out, 3 * COPY_COST))
        .tensor(r.own(x)).tensor(r.own(target)).tensor(out)
        .sizes(width(out)).number(eps);
      return out;
    },
  };
}
