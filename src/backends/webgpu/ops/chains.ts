// Elementwise operations that wait for whoever reads their result. Those that
// follow each other, a norm before or behind them, become one dispatch: what a
// chain would store and the next one load is the most of its time, and the host
// records less.
//
// What reads the result of a chain in its midst has it computed for itself, so a
// chain is cheap: it begins with a tensor that is there, or with a product whose
// parts of K have to be added anyway, or with the norm of either. A product of few
// rows ends with the steps behind it, as long as they are its only reader.
import { numel, type Shape } from "../../../core/shape.ts";
import type { Tensor } from "../../../ops/ops.ts";
import {
  chainElementsWgsl,
  stepConstant,
  type StepName,
  takesNumber,
  takesVector,
} from "../kernels/chain.ts";
import { type Lanes, lanesOf } from "../kernels/elements.ts";
import {
  type RmsNormOptions,
  rmsNormRows,
  rmsNormThreads,
  rmsNormWgsl,
} from "../kernels/rms_norm.ts";
import { elementGrid, grid, type Recorder } from "../recorder.ts";
import {
  type Binding,
  type PendingWork,
  type StepBuffer,
  WebGpuTensor,
} from "../tensors.ts";

/** Most operands of a chain beside the first: with a norm's weight seven buffers. */
const MAX_OPERANDS = 4;
/** Most steps; more are rare, and each order of steps is a kernel. */
const MAX_STEPS = 6;

/** A step of a chain. */
export interface ChainStep {
  readonly name: StepName;
  /** The number that comes with the operation. */
  readonly by?: number | undefined;
  /** A tensor of the chain's shape, or a vector. */
  readonly other?: Binding;
}

/** `rmsNorm` at the beginning of a chain. */
export interface ChainNorm {
  /** Steps on what is normed, none with an operand. */
  readonly before: readonly ChainStep[];
  readonly weights: readonly Binding[];
  readonly eps: number;
}

/** A product of which each part of K has sums of its own. */
export interface SplitProduct {
  readonly splits: number;
  /** Records it; gives the parts, `splits` times the product's shape. */
  record(): StepBuffer;
}

/** A product whose kernel can do the steps that follow. */
export class EndingProduct {
  /** Records it, with these steps on its outputs. */
  readonly record: (steps: readonly ChainStep[]) => WebGpuTensor;
  /** Whether it has several readers: what each of them does must not repeat it. */
  isShared = false;

  constructor(record: EndingProduct["record"]) {
    this.record = record;
  }
}

/** Where a chain begins. */
type Source = WebGpuTensor | SplitProduct | EndingProduct;

function isSplit(source: Source): source is SplitProduct {
  return "splits" in source;
}

/** A tensor, maybe its norm, and what follows. */
export class PendingChain implements PendingWork {
  readonly x: Source;
  readonly norm: ChainNorm | undefined;
  readonly steps: readonly ChainStep[];
  private readonly recorder: Recorder;
  private readonly shape: Shape;
  /** Whether another chain begins with this one. */
  private isContinued = false;

  constructor(
    recorder: Recorder,
    shape: Shape,
    { x, norm, steps }: Pick<PendingChain, "x" | "norm" | "steps">,
  ) {
    this.recorder = recorder;
    this.shape = shape;
    this.x = x;
    this.norm = norm;
    this.steps = steps;
  }

  /**
   * Whether a step may join. A sum of tensors is mostly a residual that others
   * read, too: a step on it alone waits for it, so that it is computed once.
   */
  takes({ other, name }: Pick<ChainStep, "name" | "other">): boolean {
    const operands = this.steps.filter((step) => step.other !== undefined);
    if (this.steps.length >= MAX_STEPS) return false;
    if (other !== undefined && !takesVector(name)) {
      return operands.length < MAX_OPERANDS;
    }
    return operands.every((step) => takesVector(step.name)) &&
      operands.length < MAX_OPERANDS;
  }

  /** Whether it is more than a load of what is there. */
  get isCostly(): boolean {
    return this.norm !== undefined || !(this.x instanceof WebGpuTensor);
  }

  /** Where a longer chain begins, which is one more reader. */
  continued(): Source {
    const { x } = this;
    if (x instanceof EndingProduct) x.isShared ||= this.isContinued;
    this.isContinued = true;
    return x;
  }

  /** What is there to begin with. */
  private source(): Binding {
    const { recorder: r, x } = this;
    if (x instanceof WebGpuTensor) return x;
    return r.once(
      "product",
      x,
      () => isSplit(x) ? x.record() : x.record([]).buffer,
    );
  }

  complete(): WebGpuTensor {
    const { recorder: r, shape, steps, x } = this;
    if (x instanceof EndingProduct && !this.norm) {
      x.isShared ||= this.isContinued;
      if (!x.isShared) return x.record(steps);
    }
    const source = this.source();
    if (steps.length === 0 && !this.norm && x instanceof EndingProduct) {
      return r.tensor(source as StepBuffer, shape);
    }
    const splits = isSplit(x) ? [x.splits] : [];
    const out = r.output(shape);
    const others = steps.flatMap(({ other }) => other ? [other] : []);
    const constants: Record<string, number> = {};
    addNumbers(constants, "after", steps);
    const width = shape.at(-1) || 1;
    const common = { constants, writes: [out] };
    if (this.norm) {
      const { before, weights, eps } = this.norm;
      addNumbers(constants, "before", before);
      constants.WIDTH = width;
      constants.EPS = eps;
      const rows = numel(shape) / width;
      const rowThreads = rmsNormThreads(width);
      r.dispatch({
        ...common,
        ...normKernel(
          { before, after: steps },
          {
            weighted: weights.length > 0,
            isSplit: splits.length > 0,
            lanes: lanesOf(width),
            rowThreads,
          },
        ),
        reads: [source, ...weights, ...others],
        params: [rows, ...splits],
        workgroups: grid(Math.ceil(rows / rmsNormRows({ rowThreads }))),
      });
      return out;
    }
    const hasVector = steps.some(({ name }) => takesVector(name));
    const lanes = lanesOf(hasVector ? width : numel(shape));
    if (hasVector) constants.WIDTH = width / lanes;
    const count = numel(shape) / lanes;
    r.dispatch({
      ...common,
      ...elementsKernel(steps, lanes, splits.length > 0),
      reads: [source, ...others],
      params: [count, ...splits],
      workgroups: elementGrid(count),
    });
    return out;
  }
}

/** The chain of a tensor, unless it was computed meanwhile, or is none. */
function chainOf(r: Recorder, x: Tensor): PendingChain | undefined {
  const pending = r.pendingOf(x);
  return pending instanceof PendingChain ? pending : undefined;
}

/** `x` with a step behind it. */
export function extend(
  r: Recorder,
  x: Tensor,
  shape: Shape,
  step: ChainStep,
): WebGpuTensor {
  const chain = chainOf(r, x);
  return r.later(
    shape,
    chain?.takes(step)
      ? new PendingChain(r, shape, {
        x: chain.continued(),
        norm: chain.norm,
        steps: [...chain.steps, step],
      })
      : new PendingChain(r, shape, {
        x: r.own(x),
        norm: undefined,
        steps: [step],
      }),
  );
}

/** A step on two tensors, behind the one that waits; `swapped` is the step where that is `b`. */
export function combine(
  r: Recorder,
  [a, b]: readonly [Tensor, Tensor],
  shape: Shape,
  { name, swapped, by }: Pick<ChainStep, "name" | "by"> & {
    readonly swapped: StepName;
  },
): WebGpuTensor {
  const [first, second] = [chainOf(r, a), chainOf(r, b)];
  const isSecond = second && (second.isCostly || !first?.isCostly);
  return isSecond
    ? extend(r, b, shape, { name: swapped, by, other: r.own(a) })
    : extend(r, a, shape, { name, by, other: r.own(b) });
}

/** The norm of a tensor, with the steps that wait for it. */
export function normed(
  r: Recorder,
  x: Tensor,
  shape: Shape,
  { weights, eps }: Pick<ChainNorm, "weights" | "eps">,
): WebGpuTensor {
  const chain = chainOf(r, x);
  const joins = chain && !chain.norm &&
    chain.steps.every(({ other }) => other === undefined);
  const before = joins ? chain.steps : [];
  return r.later(
    shape,
    new PendingChain(r, shape, {
      x: joins ? chain.continued() : r.own(x),
      norm: { before, weights, eps },
      steps: [],
    }),
  );
}

/** What becomes of a product in parts of K: their sum, for now. */
export function added(
  r: Recorder,
  shape: Shape,
  product: SplitProduct,
  steps: readonly ChainStep[],
): WebGpuTensor {
  return r.later(
    shape,
    new PendingChain(r, shape, { x: product, norm: undefined, steps }),
  );
}

/** A product that waits for what it ends with, behind these steps. */
export function ending(
  r: Recorder,
  shape: Shape,
  record: EndingProduct["record"],
  steps: readonly ChainStep[],
): WebGpuTensor {
  const x = new EndingProduct(record);
  return r.later(
    shape,
    new PendingChain(r, shape, { x, norm: undefined, steps }),
  );
}

/** The numbers of the steps of a chain, as its kernel wants them. */
export function addNumbers(
  constants: Record<string, number>,
  chain: string,
  steps: readonly ChainStep[],
): void {
  steps.forEach(({ name, by }, k) => {
    if (takesNumber(name)) constants[stepConstant(chain, k)] = by!;
  });
}

/** A kernel, and what tools call it. */
interface ChainKernel {
  readonly code: string;
  readonly label: string;
}

const kernels = new Map<string, ChainKernel>();

/** The same string for the same kernel: it is the key of its pipelines. */
function kernelOf(
  key: string,
  label: string,
  code: () => string,
): ChainKernel {
  let kernel = kernels.get(key);
  if (kernel === undefined) {
    kernels.set(key, kernel = { code: code(), label });
  }
  return kernel;
}

function elementsKernel(
  steps: readonly ChainStep[],
  lanes: Lanes,
  isSplit: boolean,
): ChainKernel {
  const names = steps.map(({ name }) => name);
  const label = (isSplit ? ["addSplits", ...names] : names).join(" ");
  return kernelOf(
    `${label} ${lanes}`,
    label,
    () => chainElementsWgsl(names, { lanes, isSplit }),
  );
}

function normKernel(
  { before, after }: Record<"before" | "after", readonly ChainStep[]>,
  options: Omit<RmsNormOptions, "before" | "after">,
): ChainKernel {
  const names = {
    before: before.map(({ name }) => name),
    after: after.map(({ name }) => name),
  };
  const { isSplit } = options;
  const label = [
    ...isSplit ? ["addSplits"] : [],
    ...names.before,
    "rmsNorm",
    ...names.after,
  ].join(" ");
  const { weighted, lanes, rowThreads } = options;
  return kernelOf(
    `${label} ${weighted} ${lanes} ${rowThreads}`,
    label,
    () => rmsNormWgsl({ ...options, ...names }),
  );
}
