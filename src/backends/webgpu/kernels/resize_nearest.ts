/**
 * WGSL of `resizeNearest`: a thread copies `lanes` channels of one place.
 *
 * `x` `[Y, X, C]`, `y` `[Y', X', C]`, both f32; `lanes` must divide C.
 *
 * Dispatch: `Y' * X' * C / lanes` threads in workgroups of 64, `grid()`.
 */
export function resizeNearestWgsl(lanes: 1 | 4): string {
  return `
alias Elem = ${lanes === 4 ? "vec4f" : "f32"};

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;

struct Params {
  rows: u32,       // Y
  columns: u32,    // X
  outRows: u32,    // Y'
  outColumns: u32, // X'
  elements: u32,   // Y' * X' * C / lanes
}
@group(0) @binding(2) var<uniform> params: Params;

override CHANNELS: u32; // C / lanes

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + thread;
  if (i >= params.elements) { return; }
  let c = i % CHANNELS;
  let place = i / CHANNELS;
  let row = place / params.outColumns * params.rows / params.outRows;
  let column = place % params.outColumns * params.columns / params.outColumns;
  y[i] = x[(row * params.columns + column) * CHANNELS + c];
}
`;
}
