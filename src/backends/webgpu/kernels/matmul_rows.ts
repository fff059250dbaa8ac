import type { WeightFormat } from "../../../core/dtype.ts";
import { chainWgsl, type StepName } from "./chain.ts";
import { elemWgsl } from "./elements.ts";
import { mathWgsl } from "./math.ts";

/** Most rows of x that `matmulRowsWgsl` takes. */
export const MATMUL_ROWS = 4;

/** A `matmul` of few rows. */
export interface MatmulRowsOptions {
  readonly format: WeightFormat;
  /** K. */
  readonly width: number;
  /** Rows of x, T: 1 to {@link MATMUL_ROWS}. */
  readonly rows: number;
  /** Outputs of a workgroup. */
  readonly outputs: number;
  /** Threads of a workgroup. */
  readonly threads: number;
  /** What becomes of the product. */
  readonly after: readonly StepName[];
  /** Lanes of every subgroup where sums may use them; 0 for workgroup memory alone. */
  readonly subgroupSize: number;
  /** Whether the compiler wants subgroups announced. */
  readonly enablesSubgroups: boolean;
}

/**
 * WGSL of `matmul` for few rows, as in decode, where all time goes to reading
 * the weights: `y[t, FIRST + o] = sum_k x[t, k] w[o, k]`, with steps behind it
 * (chain.ts).
 *
 * `x` `[T, K]` f32, `w` as weight_layout.ts says, `scales` for q8 and q4, the
 * operands of the steps, `y` `[T, OUTPUTS]`. Weights are dequantised,
 * activations stay f32, sums are f32.
 *
 * A workgroup has a few outputs. Threads side by side read words side by side,
 * each the four (f32, q8) or eight (q4) elements of one word of every output,
 * so that x is read once for all of them. Everything is unrolled: loads of a
 * thread must be under way together, and naga counts the turns of loops.
 *
 * Dispatch: a workgroup for `outputs` of the PART outputs, in a grid of any width.
 */
export function matmulRowsWgsl(options: MatmulRowsOptions): string {
  const { format, width, rows, outputs, threads, subgroupSize } = options;
  const lanes = width % 4 === 0 ? 4 : 1;
  const chunkWidth = format === "q4" ? 8 : lanes;
  const elem = lanes === 4 ? "vec4f" : "f32";
  const quantized = format !== "f32";
  const scales = quantized
    ? "@group(0) @binding(2) var<storage, read> scales: array<u32>;"
    : "";
  const binding = quantized ? 3 : 2;
  const after = chainWgsl("after", options.after, { lanes: 1, binding });
  const y = binding + after.bindingCount;
  const subgroups = subgroupSize > 0;
  return `${subgroups && options.enablesSubgroups ? "enable subgroups;" : ""}
@group(0) @binding(0) var<storage, read> x: array<${elem}>;
@group(0) @binding(1) var<storage, read> w: array<${quantized ? "u32" : elem}>;
${scales}
${after.bindings}
@group(0) @binding(${y}) var<storage, read_write> y: array<f32>;

override FIRST: u32;   // first output of this part
override PART: u32;    // outputs of this part
override OUTPUTS: u32; // of all parts

var<workgroup> sums: array<f32, ${
    outputs * rows * (subgroups ? threads / subgroupSize : threads)
  }>;
${elemWgsl(1)}${options.after.length > 0 ? mathWgsl : ""}
${after.functions}

fn store(i: u32, sum: f32) { y[i] = after(sum, i, i % OUTPUTS); }

fn dotElem(a: ${elem}, b: ${elem}) -> f32 { return ${
    lanes === 4 ? "dot(a, b)" : "a * b"
  }; }

@compute @workgroup_size(${threads})
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,${
    subgroups ? "\n  @builtin(subgroup_invocation_id) subgroupLane: u32," : ""
  }
) {
  let first = (group.y * groups.x + group.x) * ${outputs}u;
  // Beyond the last output the last one is computed again, and not stored.
${
    range(outputs).map((o) => `  let row${o} = min(first + ${o}u, PART - 1u);`)
      .join("\n")
  }
${
    range(outputs).flatMap((o) =>
      range(rows).map((t) => `  var sum${o}_${t} = 0.0;`)
    ).join("\n")
  }
${sumChunks(options, chunkWidth)}
${subgroups ? subgroupReduction(options) : sharedReduction(options)}
}
`;
}

/** Chunks of each output that a thread reads before the loop turns. */
const UNROLLED = 8;

/** Adds all products of a thread. */
function sumChunks(options: MatmulRowsOptions, chunkWidth: number): string {
  const { width, threads } = options;
  const chunks = width / chunkWidth;
  const perTurn = Math.min(UNROLLED, Math.ceil(chunks / threads));
  const turns = Math.ceil(chunks / (threads * perTurn));
  const isWhole = turns * perTurn * threads === chunks;
  const body = chunkBody(options, chunkWidth);
  const guarded = isWhole ? body : `if (c < ${chunks}u) { ${body} }`;
  const turn = range(perTurn)
    .map((i) => `{ let c = base + ${i * threads}u; ${guarded} }`).join("\n");
  return turns === 1 ? `  let base = thread;\n${turn}` : `
  for (var turn = 0u; turn < ${turns}u; turn++) {
    let base = turn * ${perTurn * threads}u + thread;
${turn}
  }`;
}

/** Adds the products of chunk `c`. */
function chunkBody(
  { format, width, rows, outputs }: MatmulRowsOptions,
  chunkWidth: number,
): string {
  const chunks = width / chunkWidth;
  const perGroup = 32 / chunkWidth;
  const scaleWords = Math.ceil(width / 64);
  const vectors = Math.ceil(width / (chunkWidth === 1 ? 1 : 4));
  const lines: string[] = [];
  if (format !== "f32") lines.push(`let g = c / ${perGroup}u;`);
  if (format === "q4") lines.push("let v = 8u * g + c % 4u;");
  for (const t of range(rows)) {
    const at = t * vectors;
    if (format !== "q4") lines.push(`let x${t} = x[${at}u + c];`);
    else {
      lines.push(
        `let x${t} = x[${at}u + v];`,
        `let z${t} = x[${at}u + v + 4u];`,
        `let eight${t} = 8.0 * dot(x${t} + z${t}, vec4f(1.0));`,
      );
    }
  }
  for (const o of range(outputs)) {
    lines.push(`let w${o} = w[row${o} * ${chunks}u + c];`);
    if (format === "f32") {
      for (const t of range(rows)) {
        lines.push(`sum${o}_${t} += dotElem(x${t}, w${o});`);
      }
      continue;
    }
    lines.push(
      `let pair${o} = unpack2x16float(scales[row${o} * ${scaleWords}u + (g >> 1u)]);`,
      `let scale${o} = select(pair${o}.x, pair${o}.y, (g & 1u) == 1u);`,
    );
    if (format === "q8") lines.push(`let q${o} = vec4f(unpack4xI8(w${o}));`);
    else {
      lines.push(
        `let q${o} = vec4f(unpack4xU8(w${o} & 0x0f0f0f0fu));`,
        `let p${o} = vec4f(unpack4xU8((w${o} >> 4u) & 0x0f0f0f0fu));`,
      );
    }
    for (const t of range(rows)) {
      const product = format === "q8"
        ? `dot(x${t}, q${o})`
        : `(dot(x${t}, q${o}) + dot(z${t}, p${o}) - eight${t})`;
      lines.push(`sum${o}_${t} += scale${o} * ${product};`);
    }
  }
  return lines.join(" ");
}

/** A thread for each sum adds what the subgroups found. */
function subgroupReduction(
  { rows, outputs, threads, subgroupSize }: MatmulRowsOptions,
): string {
  const parts = threads / subgroupSize;
  const each = sumNames(rows, outputs).map(([name, index]) =>
    `  { let total = subgroupAdd(${name});
    if (subgroupLane == 0u) { sums[${index * parts}u + subgroup] = total; } }`
  ).join("\n");
  return `  let subgroup = thread / ${subgroupSize}u;
${each}
  workgroupBarrier();
${finish(rows, outputs, parts)}`;
}

/** Halves the number of sums until one thread for each output adds the rest. */
function sharedReduction(
  { rows, outputs, threads }: MatmulRowsOptions,
): string {
  const names = sumNames(rows, outputs);
  const lines = names.map(([name, index]) =>
    `  sums[${index * threads}u + thread] = ${name};`
  );
  let left = threads;
  while (left > 4) {
    left /= 2;
    lines.push(`  workgroupBarrier();\n  if (thread < ${left}u) {`);
    for (const [, index] of names) {
      const at = `sums[${index * threads}u + thread`;
      lines.push(`    ${at}] += ${at} + ${left}u];`);
    }
    lines.push("  }");
  }
  lines.push("  workgroupBarrier();");
  return lines.join("\n") + "\n" + finish(rows, outputs, left, threads);
}

/** A thread for each sum adds `parts` of them and stores the result. */
function finish(
  rows: number,
  outputs: number,
  parts: number,
  stride = parts,
): string {
  const terms = range(parts).map((i) => `sums[thread * ${stride}u + ${i}u]`);
  return `  if (thread < ${rows * outputs}u) {
    let o = first + thread / ${rows}u;
    let total = ${terms.join(" + ")};
    if (o < PART) { store((thread % ${rows}u) * OUTPUTS + FIRST + o, total); }
  }`;
}

function sumNames(rows: number, outputs: number): [string, number][] {
  return range(outputs).flatMap((o) =>
    range(rows).map((t): [string, number] => [`sum${o}_${t}`, o * rows + t])
  );
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
