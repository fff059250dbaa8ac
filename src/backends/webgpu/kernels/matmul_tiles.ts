import type { WeightFormat } from "../../../core/dtype.ts";
import { productStore } from "./product_store.ts";

/** Rows and outputs of a workgroup of `matmulTilesWgsl`. */
export const MATMUL_TILE = 64;

const SIDE = 16;
/** Rows and outputs of a thread. */
const OWN = MATMUL_TILE / SIDE;
/** Vectors of four along K that pass through workgroup memory together: a group of 32. */
const DEPTH = 8;
/** An odd distance between rows keeps reads of eight threads in different banks. */
const STRIDE = DEPTH + 1;

/**
 * WGSL of `matmul` for many rows, as in prefill:
 * `y[t, FIRST + o] = sum_k x[t, k] w[o, k]`.
 *
 * `x` `[T, K]` f32, `w` as weight_layout.ts says, `scales` for q8 and q4, `y`
 * `[T, OUTPUTS]`. Weights are dequantised to f32 on their way into workgroup
 * memory (18 KB with the rows of x); sums are f32, over k in order.
 *
 * A thread has 4 x 4 results, 16 rows and 16 outputs apart, so that the threads
 * of a subgroup read different banks or the same place.
 *
 * @param lanes Elements of a load: 4 where 4 divides K. Quantised ones have 4.
 *
 * Dispatch: (ceil(PART / 64), ceil(T / 64), 1).
 */
export function matmulTilesWgsl(
  format: WeightFormat,
  lanes: 1 | 4,
  gated: boolean,
): string {
  const elem = lanes === 4 ? "vec4f" : "f32";
  const quantized = format !== "f32";
  const store = productStore(quantized ? 3 : 2, gated);
  const own = Array.from({ length: OWN }, (_, i) => i);
  const pairs = own.flatMap((i) => own.map((j) => [i, j] as const));
  return `
@group(0) @binding(0) var<storage, read> x: array<${elem}>;
@group(0) @binding(1) var<storage, read> w: array<${quantized ? "u32" : elem}>;
${
    quantized
      ? "@group(0) @binding(2) var<storage, read> scales: array<u32>;"
      : ""
  }
${store.bindings}
struct Params { rows: u32 }
@group(0) @binding(${
    (quantized ? 4 : 3) + (gated ? 1 : 0)
  }) var<uniform> params: Params;

override K: u32;
override FIRST: u32;   // first output of this part
override PART: u32;    // outputs of this part
override OUTPUTS: u32; // of all parts

// [row, k / 4]
var<workgroup> xs: array<vec4f, ${MATMUL_TILE * STRIDE}>;
var<workgroup> ws: array<vec4f, ${MATMUL_TILE * STRIDE}>;
${store.functions}

// Elements 4v .. 4v + 3 of a row, zeros beyond the last.
fn loadX(row: u32, v: u32) -> vec4f {
  if (row >= params.rows || 4u * v >= K) { return vec4f(); }
  ${loadVector("x", lanes)}
}
${formatLoad(format, lanes)}
@compute @workgroup_size(${SIDE}, ${SIDE})
fn main(
  @builtin(local_invocation_id) local: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) group: vec3u,
) {
  let rowBase = group.y * ${MATMUL_TILE}u;
  let outputBase = group.x * ${MATMUL_TILE}u;
  ${pairs.map(([i, j]) => `var sum${i}${j} = 0.0;`).join(" ")}
  for (var v = 0u; 4u * v < K; v += ${DEPTH}u) {
    ${
    [0, 1].map((i) => {
      const row = `thread / ${DEPTH}u + ${i * 32}u`;
      const column = `thread % ${DEPTH}u`;
      return `xs[(${row}) * ${STRIDE}u + ${column}] = loadX(rowBase + ${row}, v + ${column});`;
    }).join("\n    ")
  }
    ${stageWeights(format)}
    workgroupBarrier();
${
    Array.from({ length: DEPTH }, (_, d) =>
      `    {
${
        own.map((i) =>
          `      let x${i} = xs[(local.y + ${SIDE * i}u) * ${STRIDE}u + ${d}u];
      let w${i} = ws[(local.x + ${SIDE * i}u) * ${STRIDE}u + ${d}u];`
        ).join("\n")
      }
      ${pairs.map(([i, j]) => `sum${i}${j} += dot(x${i}, w${j});`).join(" ")}
    }`).join("\n")
  }
    workgroupBarrier();
  }
${
    pairs.map(([i, j]) =>
      `  put(rowBase + local.y + ${SIDE * i}u, outputBase + local.x + ${
        SIDE * j
      }u, sum${i}${j});`
    ).join("\n")
  }
}

fn put(row: u32, output: u32, sum: f32) {
  if (row < params.rows && output < PART) {
    store(row * OUTPUTS + FIRST + output, sum);
  }
}
`;
}

function loadVector(name: string, lanes: 1 | 4): string {
  if (lanes === 4) return `return ${name}[row * (K / 4u) + v];`;
  return `let at = row * K + 4u * v;
  let left = K - 4u * v;
  var value = vec4f(${name}[at], 0.0, 0.0, 0.0);
  if (left > 1u) { value.y = ${name}[at + 1u]; }
  if (left > 2u) { value.z = ${name}[at + 2u]; }
  if (left > 3u) { value.w = ${name}[at + 3u]; }
  return value;`;
}

function formatLoad(format: WeightFormat, lanes: 1 | 4): string {
  if (format === "f32") {
    return `
fn loadW(row: u32, v: u32) -> vec4f {
  if (row >= PART || 4u * v >= K) { return vec4f(); }
  ${loadVector("w", lanes)}
}
`;
  }
  return `
fn scaleOf(row: u32, v: u32) -> f32 {
  let g = v / 8u;
  let pair = unpack2x16float(scales[row * ((K + 63u) / 64u) + (g >> 1u)]);
  return select(pair.x, pair.y, (g & 1u) == 1u);
}
`;
}

/** Fills `ws` with the group of 32 from vector `v` on. */
function stageWeights(format: WeightFormat): string {
  if (format === "q4") {
    return `{
      let own = thread / 4u;
      let word = thread % 4u;
      let row = min(outputBase + own, PART - 1u);
      let bits = w[row * (K / 8u) + v / 2u + word];
      let scale = scaleOf(row, v);
      let at = own * ${STRIDE}u + word;
      ws[at] = (vec4f(unpack4xU8(bits & 0x0f0f0f0fu)) - 8.0) * scale;
      ws[at + 4u] = (vec4f(unpack4xU8((bits >> 4u) & 0x0f0f0f0fu)) - 8.0) * scale;
    }`;
  }
  return [0, 1].map((i) => {
    const own = `thread / ${DEPTH}u + ${i * 32}u`;
    const column = `thread % ${DEPTH}u`;
    if (format === "f32") {
      return `ws[(${own}) * ${STRIDE}u + ${column}] = loadW(outputBase + ${own}, v + ${column});`;
    }
    return `{
      let row = min(outputBase + ${own}, PART - 1u);
      let bits = w[row * (K / 4u) + v + ${column}];
      ws[(${own}) * ${STRIDE}u + ${column}] = vec4f(unpack4xI8(bits)) * scaleOf(row, v);
    }`;
  }).join("\n    ");
}
