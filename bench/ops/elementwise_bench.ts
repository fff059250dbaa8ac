// Elementwise operations and those over rows, on the activations of a prompt.
import type { Shape } from "../../src/core/shape.ts";
import type { OpArgs, OpCase, OpSize } from "../op_case.ts";
import type { Tensor } from "../../src/ops/ops.ts";

/** What one operation needs besides its formula. */
interface Kind {
  readonly name: string;
  /** Tensors of the same shape that it takes. */
  readonly inputs: number;
  readonly vector?: boolean;
  record(args: OpArgs): Tensor;
}

const KINDS: readonly Kind[] = [
  {
    name: "add",
    inputs: 2,
    record: ({ ops, inputs: [a, b] }) => ops.add(a!, b!),
  },
  {
    name: "mul",
    inputs: 2,
    record: ({ ops, inputs: [a, b] }) => ops.mul(a!, b!),
  },
  {
    name: "scale",
    inputs: 1,
    record: ({ ops, inputs: [x] }) => ops.scale(x!, 0.5),
  },
  {
    name: "addScaled",
    inputs: 2,
    record: ({ ops, inputs: [a, b] }) => ops.addScaled(a!, b!, 0.5),
  },
  {
    name: "mulVector",
    inputs: 1,
    vector: true,
    record: ({ ops, inputs: [x], weight }) => ops.mulVector(x!, weight),
  },
  {
    name: "addVector",
    inputs: 1,
    vector: true,
    record: ({ ops, inputs: [x], weight }) => ops.addVector(x!, weight),
  },
  { name: "gelu", inputs: 1, record: ({ ops, inputs: [x] }) => ops.gelu(x!) },
  {
    name: "geluMul",
    inputs: 2,
    record: ({ ops, inputs: [gate, up] }) => ops.geluMul(gate!, up!),
  },
  { name: "relu", inputs: 1, record: ({ ops, inputs: [x] }) => ops.relu(x!) },
  { name: "silu", inputs: 1, record: ({ ops, inputs: [x] }) => ops.silu(x!) },
  { name: "glu", inputs: 1, record: ({ ops, inputs: [x] }) => ops.glu(x!) },
  { name: "tanh", inputs: 1, record: ({ ops, inputs: [x] }) => ops.tanh(x!) },
  {
    name: "softcap",
    inputs: 1,
    record: ({ ops, inputs: [x] }) => ops.softcap(x!, 30),
  },
  {
    name: "clamp",
    inputs: 1,
    record: ({ ops, inputs: [x] }) => ops.clamp(x!, 0.5),
  },
  {
    name: "rmsNorm",
    inputs: 1,
    vector: true,
    record: ({ ops, inputs: [x], weight }) => ops.rmsNorm(x!, weight, 1e-6),
  },
  {
    name: "gaussianTopK",
    inputs: 1,
    record: ({ ops, inputs: [x] }) => ops.gaussianTopK(x!, 1.645),
  },
  {
    name: "matchMagnitude",
    inputs: 2,
    record: ({ ops, inputs: [x, y] }) => ops.matchMagnitude(x!, y!, 1e-5),
  },
];

function size(kind: Kind, [rows, width]: readonly [number, number]): OpSize {
  const shape: Shape = [rows, width];
  return {
    inputs: Array.from({ length: kind.inputs }, () => shape),
    ...(kind.vector && { weight: { kind: "vector", shape: [width] } }),
    multiplyAdds: 0,
    bytes: 4 * rows * width * (kind.inputs + 1),
    record: kind.record,
  };
}

function scaleRows(rows: number, width: number): OpSize {
  return {
    inputs: [[rows, width], [rows]],
    multiplyAdds: 0,
    bytes: 2 * 4 * rows * width,
    record: ({ ops, inputs }) => ops.scaleRows(inputs[0]!, inputs[1]!),
  };
}

/** Cases of elementwise operations. */
export const elementwiseCases: readonly OpCase[] = [
  ...KINDS.map((kind) => ({
    name: kind.name,
    check: size(kind, [5, 34]),
    time: size(kind, [512, 2048]),
  })),
  { name: "scaleRows", check: scaleRows(5, 33), time: scaleRows(512, 2048) },
];
