// Elementwise operations, and those over rows.
import { numel, type Shape } from "../../../core/shape.ts";
import type { Ops } from "../../../ops/ops.ts";
import { shapes } from "../../../ops/shapes.ts";
import type { StepName } from "../kernels/chain.ts";
import { type Forms, type Lanes, lanesOf } from "../kernels/elements.ts";
import { gaussianTopKWgsl } from "../kernels/gaussian_top_k.ts";
import { gluWgsl } from "../kernels/glu.ts";
import { matchMagnitudeWgsl } from "../kernels/match_magnitude.ts";
import { scaleRowsWgsl } from "../kernels/scale_rows.ts";
import { elementGrid, grid, type Recorder } from "../recorder.ts";
import type { Binding, WebGpuTensor } from "../tensors.ts";
import { combine, extend, normed } from "./chains.ts";

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

/** The largest f32: `override` values are finite. */
const MAX_F32 = 3.4028234663852886e38;

/** Elementwise operations, and those over rows. */
export function elementwiseOps(r: Recorder): ElementwiseOps {
  return { ...mapOps(r), ...pairOps(r), ...broadcastOps(r), ...rowOps(r) };
}

/** Records a kernel with a thread for each load of the result. */
function eachLoad(
  r: Recorder,
  code: Forms,
  shape: Shape,
  reads: readonly Binding[],
  { lanes, ...constants }: Readonly<Record<string, number>> & {
    readonly lanes: Lanes;
  },
): WebGpuTensor {
  const out = r.output(shape);
  const count = numel(shape) / lanes;
  r.dispatch({
    code: code[lanes],
    constants,
    reads,
    writes: [out],
    params: [count],
    workgroups: elementGrid(count),
  });
  return out;
}

/** Operations on one tensor. */
function mapOps(
  r: Recorder,
): Pick<
  Ops,
  "scale" | "gelu" | "relu" | "silu" | "tanh" | "softcap" | "clamp"
> {
  return {
    scale: (x, by) => extend(r, x, shapes.scale(x, by), { name: "scale", by }),
    gelu: (x) => extend(r, x, shapes.gelu(x), { name: "gelu" }),
    relu: (x) => extend(r, x, shapes.relu(x), { name: "relu" }),
    silu: (x) => extend(r, x, shapes.silu(x), { name: "silu" }),
    tanh: (x) => extend(r, x, shapes.tanh(x), { name: "tanh" }),
    softcap: (x, by) =>
      extend(r, x, shapes.softcap(x, by), { name: "softcap", by }),
    clamp(x, limit) {
      const by = Math.min(limit, MAX_F32);
      return extend(r, x, shapes.clamp(x, limit), { name: "clamp", by });
    },
  };
}

/** Operations on two tensors of one shape. */
function pairOps(
  r: Recorder,
): Pick<Ops, "add" | "mul" | "addScaled" | "geluMul"> {
  const symmetric = (name: StepName) => ({ name, swapped: name });
  return {
    add: (a, b) => combine(r, [a, b], shapes.add(a, b), symmetric("add")),
    mul: (a, b) => combine(r, [a, b], shapes.mul(a, b), symmetric("mul")),
    addScaled(a, b, by) {
      const shape = shapes.addScaled(a, b, by);
      return combine(r, [a, b], shape, { ...symmetric("addScaled"), by });
    },
    geluMul(gate, up) {
      const shape = shapes.geluMul(gate, up);
      const step = { name: "geluMul", swapped: "mulGelu" } as const;
      return combine(r, [gate, up], shape, step);
    },
  };
}

function broadcastOps(
  r: Recorder,
): Pick<Ops, "mulVector" | "addVector" | "scaleRows" | "glu"> {
  const withVector = (name: "mulVector" | "addVector") =>
    ((x, w) => {
      const shape = shapes[name](x, w);
      const other = r.ownWeight(name, w, "vector").parts[0]!.values;
      return extend(r, x, shape, { name, other });
    }) satisfies Ops["mulVector"];
  return {
    mulVector: withVector("mulVector"),
    addVector: withVector("addVector"),
    scaleRows(x, factors) {
      const shape = shapes.scaleRows(x, factors);
      const reads = [r.own(x), r.own(factors)];
      const size = Math.max(1, numel(shape.slice(1)));
      const lanes = lanesOf(size);
      const constants = { lanes, WIDTH: size / lanes };
      return eachLoad(r, scaleRowsWgsl, shape, reads, constants);
    },
    glu(x) {
      const shape = shapes.glu(x);
      const lanes = lanesOf(width(shape));
      const constants = { lanes, WIDTH: width(shape) / lanes };
      return eachLoad(r, gluWgsl, shape, [r.own(x)], constants);
    },
  };
}

function rowOps(
  r: Recorder,
): Pick<Ops, "rmsNorm" | "gaussianTopK" | "matchMagnitude"> {
  const eachRow = (
    code: string,
    shape: Shape,
    reads: readonly Binding[],
    constants: Readonly<Record<string, number>>,
  ) => {
    const out = r.output(shape);
    const rows = numel(shape) / width(shape);
    r.dispatch({
      code,
      constants: { WIDTH: width(shape), ...constants },
      reads,
      writes: [out],
      params: [rows],
      workgroups: grid(rows),
    });
    return out;
  };
  return {
    rmsNorm(x, weight, eps) {
      const shape = shapes.rmsNorm(x, weight, eps);
      const weights = weight === undefined
        ? []
        : [r.ownWeight("rmsNorm", weight, "vector").parts[0]!.values];
      return normed(r, x, shape, { weights, eps });
    },
    gaussianTopK(x, multiplier) {
      const shape = shapes.gaussianTopK(x, multiplier);
      const constants = { MULTIPLIER: multiplier };
      return eachRow(gaussianTopKWgsl, shape, [r.own(x)], constants);
    },
    matchMagnitude(x, target, eps) {
      const shape = shapes.matchMagnitude(x, target, eps);
      const reads = [r.own(x), r.own(target)];
      return eachRow(matchMagnitudeWgsl, shape, reads, { EPS: eps });
    },
  };
}

/** Elements of a row; 1 where there are none. */
function width(shape: Shape): number {
  return shape.at(-1) || 1;
}
