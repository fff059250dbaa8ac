import { range } from "./matmul_tiles/tile.ts";
import { ROUNDING_FUNCTIONS } from "./rounding.ts";

/** Threads of a workgroup, each of which has a group of a row. */
export const ROUND_THREADS = 64;
/** Vectors of four in a group. */
const QUADS = 8;

/**
 * WGSL that rounds rows of `x` `[T, K]` to bytes, for products with quantised
 * weights: `bytes` `[T, K / 16]` vectors of four words, and `scales`
 * `[K / 32, T]`, one for each group of 32 elements.
 *
 * Scales of neighbouring rows lie side by side, as tiles load them.
 */
export const roundRowsWgsl = `
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> bytes: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> scales: array<f32>;
struct Params {
  rows: u32,
  groups: u32, // of a row
}
@group(0) @binding(3) var<uniform> params: Params;
${ROUNDING_FUNCTIONS}
@compute @workgroup_size(${ROUND_THREADS})
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) count: vec3u,
) {
  let i = (group.y * count.x + group.x) * ${ROUND_THREADS}u + thread;
  if (i >= params.rows * params.groups) { return; }
${range(QUADS).map((j) => `  let x${j} = x[${QUADS}u * i + ${j}u];`).join("\n")}
  let most = ${
  range(QUADS).map((j) => `magnitudesOf(x${j})`)
    .reduce((most, next) => `max(${most}, ${next})`)
};
  let rounding = roundingOf(largestOf(most));
${
  range(QUADS / 4).map((half) =>
    `  bytes[2u * i + ${half}u] = vec4u(${
      range(4).map((j) => `bytesOf(x${4 * half + j}, rounding.x)`).join(", ")
    });`
  ).join("\n")
}
  scales[i % params.groups * params.rows + i / params.groups] = rounding.y;
}
`;
