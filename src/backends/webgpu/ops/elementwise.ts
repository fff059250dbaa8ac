// Elementwise operations, and those over rows.
import { numel, type Shape } from "../../../core/shape.ts";
import type { Ops, Tensor } from "../../../ops/ops.ts";
import { shapes } from "../../../ops/shapes.ts";
import {
  addVectorWgsl,
  mulVectorWgsl,
  scaleRowsWgsl,
} from "../kernels/broadcast.ts";
import { type Forms, type Lanes, lanesOf } from "../kernels/elements.ts";
import { gaussianTopKWgsl } from "../kernels/gaussian_top_k.ts";
import { gluWgsl } from "../kernels/glu.ts";
import {
  clampWgsl,
  geluWgsl,
  reluWgsl,
  scaleWgsl,
  siluWgsl,
  softcapWgsl,
  tanhWgsl,
} from "../kernels/map.ts";
import { matchMagnitudeWgsl } from "../kernels/match_magnitude.ts";
import {
  type RmsNormOptions,
  rmsNormRows,
  rmsNormThreads,
  rmsNormWgsl,
} from "../kernels/rms_norm.ts";
import {
  addScaledWgsl,
  addWgsl,
  geluMulWgsl,
  mulWgsl,
} from "../kernels/zip.ts";
import { elementGrid, grid, type Recorder } from "../recorder.ts";
import type { Binding, WebGpuTensor } from "../tensors.ts";

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
  const map = (code: Forms, shape: Shape, x: Tensor, by = 0) => {
    const lanes = lanesOf(numel(shape));
    return eachLoad(r, code, shape, [r.own(x)], { lanes, BY: by });
  };
  return {
    scale: (x, factor) => map(scaleWgsl, shapes.scale(x, factor), x, factor),
    gelu: (x) => map(geluWgsl, shapes.gelu(x), x),
    relu: (x) => map(reluWgsl, shapes.relu(x), x),
    silu: (x) => map(siluWgsl, shapes.silu(x), x),
    tanh: (x) => map(tanhWgsl, shapes.tanh(x), x),
    softcap: (x, cap) => map(softcapWgsl, shapes.softcap(x, cap), x, cap),
    clamp: (x, limit) =>
      map(clampWgsl, shapes.clamp(x, limit), x, Math.min(limit, MAX_F32)),
  };
}

/** Operations on two tensors of one shape. */
function pairOps(
  r: Recorder,
): Pick<Ops, "add" | "mul" | "addScaled" | "geluMul"> {
  const zip = (code: Forms, shape: Shape, a: Tensor, b: Tensor, by = 0) => {
    const lanes = lanesOf(numel(shape));
    return eachLoad(r, code, shape, [r.own(a), r.own(b)], { lanes, BY: by });
  };
  return {
    add: (a, b) => zip(addWgsl, shapes.add(a, b), a, b),
    mul: (a, b) => zip(mulWgsl, shapes.mul(a, b), a, b),
    addScaled: (a, b, factor) =>
      zip(addScaledWgsl, shapes.addScaled(a, b, factor), a, b, factor),
    geluMul: (gate, up) => zip(geluMulWgsl, shapes.geluMul(gate, up), gate, up),
  };
}

function broadcastOps(
  r: Recorder,
): Pick<Ops, "mulVector" | "addVector" | "scaleRows" | "glu"> {
  const withVector = (op: "mulVector" | "addVector", code: Forms) =>
    ((x, w) => {
      const shape = shapes[op](x, w);
      const vector = r.ownWeight(op, w, "vector").parts[0]!.values;
      const lanes = lanesOf(width(shape));
      const constants = { lanes, WIDTH: width(shape) / lanes };
      return eachLoad(r, code, shape, [r.own(x), vector], constants);
    }) satisfies Ops["mulVector"];
  return {
    mulVector: withVector("mulVector", mulVectorWgsl),
    addVector: withVector("addVector", addVectorWgsl),
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
      const own = r.own(x);
      const weights = weight === undefined
        ? []
        : [r.ownWeight("rmsNorm", weight, "vector").parts[0]!.values];
      const out = r.output(shape);
      const WIDTH = width(shape);
      const rows = numel(shape) / WIDTH;
      const kernel: RmsNormOptions = {
        weighted: weight !== undefined,
        lanes: lanesOf(WIDTH),
        rowThreads: rmsNormThreads(WIDTH),
      };
      r.dispatch({
        code: rmsNormCode(kernel),
        constants: { WIDTH, EPS: eps },
        reads: [own, ...weights],
        writes: [out],
        params: [rows],
        workgroups: grid(Math.ceil(rows / rmsNormRows(kernel))),
      });
      return out;
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

const rmsNormCodes = new Map<string, string>();

/** The same string for the same kernel: it is the key of its pipelines. */
function rmsNormCode(options: RmsNormOptions): string {
  const key = Object.values(options).join();
  let code = rmsNormCodes.get(key);
  if (code === undefined) rmsNormCodes.set(key, code = rmsNormWgsl(options));
  return code;
}
