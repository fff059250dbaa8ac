import { elementsWgsl } from "./elements.ts";

/** Most parts of a dispatch. */
export const STACKED_PARTS = 4;

/**
 * WGSL that lays `parts` tensors of `count` elements one after another:
 * `y[first + part * count + i] = part[i]`, all f32.
 *
 * Dispatch: `parts * count` threads in a grid of any width.
 */
export function stackWgsl(parts: number): string {
  const all = Array.from({ length: parts }, (_, part) => part);
  const bindings = all.map((part) =>
    `@group(0) @binding(${part}) var<storage, read> part${part}: array<f32>;`
  );
  const copies = all.map((part) =>
    `if (thread / params.count == ${part}u) { y[to] = part${part}[i]; }`
  );
  return `${elementsWgsl}
struct Params { count: u32, first: u32 }
${bindings.join("\n")}
@group(0) @binding(${parts}) var<storage, read_write> y: array<f32>;
@group(0) @binding(${parts + 1}) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let thread = element(id, groups);
  let i = thread % params.count;
  let to = params.first + thread;
  ${copies.join("\n  else ")}
}
`;
}
