/**
 * WGSL of `avgPool2d`: a thread averages `lanes` channels of one block.
 *
 * `x` `[Y, X, C]`, `y` `[Y / KY, X / KX, C]`, both f32; `lanes` must divide C.
 *
 * Dispatch: as many threads as `y` has elements / lanes, in workgroups of 64, `grid()`.
 */
export function avgPool2dWgsl(lanes: 1 | 4): string {
  return `
alias Elem = ${lanes === 4 ? "vec4f" : "f32"};

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;

struct Params {
  columns: u32,      // X
  outColumns: u32,   // X / KX
  blockRows: u32,    // KY
  blockColumns: u32, // KX
  elements: u32,     // of y / lanes
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
  let top = place / params.outColumns * params.blockRows;
  let left = place % params.outColumns * params.blockColumns;
  var sum = Elem();
  for (var ky = 0u; ky < params.blockRows; ky++) {
    for (var kx = 0u; kx < params.blockColumns; kx++) {
      sum += x[((top + ky) * params.columns + left + kx) * CHANNELS + c];
    }
  }
  y[i] = sum / f32(params.blockRows * params.blockColumns);
}
`;
}
