import { chainWgsl, type StepName } from "./chain.ts";
import { elemWgsl, type Lanes } from "./elements.ts";
import { mathWgsl } from "./math.ts";

/** Threads of a workgroup of `rmsNorm`, which have one row or several. */
const THREADS = 256;
/** Fewest threads of a row. */
const MIN_ROW_THREADS = 8;

/** A kernel of `rmsNorm`. */
export interface RmsNormOptions {
  /** Whether x is the sum of `splits` tensors that lie one behind another, see chain.ts. */
  readonly isSplit: boolean;
  /** What becomes of x before it is normed; none has an operand. */
  readonly before: readonly StepName[];
  /** Whether the result is multiplied by a weight. */
  readonly weighted: boolean;
  /** What becomes of the result. */
  readonly after: readonly StepName[];
  /** Elements of a load: 4 where 4 divides D. */
  readonly lanes: Lanes;
  /** Threads of a row, a power of two; {@link rmsNormThreads}. */
  readonly rowThreads: number;
}

/** Threads of a row of `width` elements: with two loads each where they suffice. */
export function rmsNormThreads(width: number): number {
  let threads = MIN_ROW_THREADS;
  while (threads < THREADS && 8 * threads < width) threads *= 2;
  return threads;
}

/** Rows of a workgroup. */
export function rmsNormRows(
  { rowThreads }: Pick<RmsNormOptions, "rowThreads">,
): number {
  return THREADS / rowThreads;
}

/**
 * WGSL of `rmsNorm`: `y[t, d] = x[t, d] / sqrt(mean(x[t]^2) + EPS) * weight[d]`,
 * with steps before and after it (chain.ts).
 *
 * `x` and `y` `[T, D]`, `weight` `[D]`, then the operands of the steps; all f32.
 *
 * Dispatch: a workgroup for every {@link rmsNormRows} rows, in a grid of any
 * width.
 */
export function rmsNormWgsl(options: RmsNormOptions): string {
  const { weighted, lanes, rowThreads } = options;
  const before = chainWgsl("before", options.before, { lanes, binding: 1 });
  const binding = weighted ? 2 : 1;
  const after = chainWgsl("after", options.after, { lanes, binding });
  const y = binding + after.bindingCount;
  const halves: number[] = [];
  for (let half = rowThreads / 2; half >= 1; half /= 2) halves.push(half);
  return `${elemWgsl(lanes)}${mathWgsl}
struct Params { rows: u32${options.isSplit ? ", splits: u32" : ""} }

@group(0) @binding(0) var<storage, read> x: array<Elem>;
${
    weighted
      ? `@group(0) @binding(1) var<storage, read> weight: array<Elem>;`
      : ""
  }
${after.bindings}
@group(0) @binding(${y}) var<storage, read_write> y: array<Elem>;
@group(0) @binding(${y + 1}) var<uniform> params: Params;

override WIDTH: u32; // D
override EPS: f32;

fn load(i: u32) -> Elem {
  var value = x[i];
${
    options.isSplit
      ? `  let size = params.rows * (WIDTH / ${lanes}u);
  for (var s = 1u; s < params.splits; s++) { value += x[s * size + i]; }`
      : ""
  }
  return value;
}
${before.functions}
${after.functions}

var<workgroup> partial: array<f32, ${THREADS}>;

@compute @workgroup_size(${THREADS})
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let vectors = WIDTH / ${lanes}u;
  let lane = thread % ${rowThreads}u;
  let row = (group.y * groups.x + group.x) * ${
    rmsNormRows(options)
  }u + thread / ${rowThreads}u;
  // Beyond the last row it is summed again, for the barriers.
  let first = min(row, params.rows - 1u) * vectors;
  var squares = 0.0;
  for (var d = lane; d < vectors; d += ${rowThreads}u) {
    let value = before(load(first + d), first + d, d);
    squares += ${lanes === 4 ? "dot(value, value)" : "value * value"};
  }
  partial[thread] = squares;
${
    halves.map((half) =>
      `  workgroupBarrier();
  if (lane < ${half}u) { partial[thread] += partial[thread + ${half}u]; }`
    ).join("\n")
  }
  workgroupBarrier();
  let scale = 1.0 / sqrt(partial[thread - lane] / f32(WIDTH) + EPS);
  if (row >= params.rows) { return; }
  for (var d = lane; d < vectors; d += ${rowThreads}u) {
    let value = before(load(first + d), first + d, d);
    y[first + d] = after(value * scale${
    weighted ? " * weight[d]" : ""
  }, first + d, d);
  }
}
`;
}
