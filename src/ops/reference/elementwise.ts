// Elementwise operations. Each value is computed in float64 and rounded once.
import { numel } from "../../core/shape.ts";
import type { Ops, Tensor, Weight } from "../ops.ts";
import { shapes } from "../shapes.ts";
import type { Body, Recorder } from "./recorder.ts";

/** Multiply-adds that a tanh or an exponential counts for. */
const TRANSCENDENTAL = 16;

/** Elementwise operations. */
export function elementwiseOps(r: Recorder): Pick<
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
> {
  return {
    add: (a, b) => {
      shapes.add(a, b);
      return binary(r, a, b, (out, a, b) => (first, end) => {
        for (let i = first; i < end; i++) out[i] = a[i]! + b[i]!;
      });
    },
    mul: (a, b) => {
      shapes.mul(a, b);
      return binary(r, a, b, (out, a, b) => (first, end) => {
        for (let i = first; i < end; i++) out[i] = a[i]! * b[i]!;
      });
    },
    scale: (x, factor) =>
      unary(r, x, 1, (out, x) => (first, end) => {
        for (let i = first; i < end; i++) out[i] = x[i]! * factor;
      }),
    addScaled: (a, b, factor) => {
      shapes.addScaled(a, b, factor);
      return binary(r, a, b, (out, a, b) => (first, end) => {
        for (let i = first; i < end; i++) out[i] = (a[i]! + b[i]!) * factor;
      });
    },
    mulVector: (x, w) => {
      shapes.mulVector(x, w);
      const data = vectorOf(r, "mulVector", w);
      return unary(r, x, 1, (out, x) => (first, end) => {
        const w = data();
        for (let i = first; i < end; i++) out[i] = x[i]! * w[i % w.length]!;
      });
    },
    addVector: (x, w) => {
      shapes.addVector(x, w);
      const data = vectorOf(r, "addVector", w);
      return unary(r, x, 1, (out, x) => (first, end) => {
        const w = data();
        for (let i = first; i < end; i++) out[i] = x[i]! + w[i % w.length]!;
      });
    },
    scaleRows: (x, factors) => {
      shapes.scaleRows(x, factors);
      const width = numel(x.shape.slice(1));
      return binary(r, x, factors, (out, x, factors) => (first, end) => {
        for (let i = first; i < end; i++) {
          out[i] = x[i]! * factors[Math.floor(i / width)]!;
        }
      });
    },
    gelu: (x) =>
      unary(r, x, TRANSCENDENTAL, (out, x) => (first, end) => {
        for (let i = first; i < end; i++) out[i] = gelu(x[i]!);
      }),
    geluMul: (gate, up) => {
      shapes.geluMul(gate, up);
      return binary(r, gate, up, (out, gate, up) => (first, end) => {
        for (let i = first; i < end; i++) out[i] = gelu(gate[i]!) * up[i]!;
      });
    },
    relu: (x) =>
      unary(r, x, 1, (out, x) => (first, end) => {
        for (let i = first; i < end; i++) out[i] = Math.max(x[i]!, 0);
      }),
    silu: (x) =>
      unary(r, x, TRANSCENDENTAL, (out, x) => (first, end) => {
        for (let i = first; i < end; i++) out[i] = x[i]! * sigmoid(x[i]!);
      }),
    glu: (x) => {
      const shape = shapes.glu(x);
      const [rows, width] = shape as [number, number];
      const work = { items: rows, perItem: TRANSCENDENTAL * width };
      return r.record(shape, [x], work, (out, x) => (first, end) => {
        for (let t = first; t < end; t++) {
          for (let d = 0; d < width; d++) {
            const i = 2 * t * width + d;
            out[t * width + d] = x[i]! * sigmoid(x[i + width]!);
          }
        }
      });
    },
    tanh: (x) =>
      unary(r, x, TRANSCENDENTAL, (out, x) => (first, end) => {
        for (let i = first; i < end; i++) out[i] = Math.tanh(x[i]!);
      }),
    softcap: (x, cap) =>
      unary(r, x, TRANSCENDENTAL, (out, x) => (first, end) => {
        for (let i = first; i < end; i++) out[i] = cap * Math.tanh(x[i]! / cap);
      }),
    clamp: (x, limit) =>
      unary(r, x, 1, (out, x) => (first, end) => {
        for (let i = first; i < end; i++) {
          out[i] = Math.min(Math.max(x[i]!, -limit), limit);
        }
      }),
  };
}

function unary(
  r: Recorder,
  x: Tensor,
  perItem: number,
  start: (out: Float32Array, x: Float32Array) => Body,
): Tensor {
  return r.record(x.shape, [x], { items: numel(x.shape), perItem }, start);
}

/** `b` may be smaller than `a`; the result has the shape of `a`. */
function binary(
  r: Recorder,
  a: Tensor,
  b: Tensor,
  start: (out: Float32Array, a: Float32Array, b: Float32Array) => Body,
): Tensor {
  const work = { items: numel(a.shape), perItem: TRANSCENDENTAL };
  return r.record(a.shape, [a, b], work, start);
}

function vectorOf(r: Recorder, op: string, w: Weight): () => Float32Array {
  const weight = r.weight(op, w, "vector");
  return () => weight.data;
}

function gelu(x: number): number {
  const inner = Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x);
  return 0.5 * x * (1 + Math.tanh(inner));
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}
