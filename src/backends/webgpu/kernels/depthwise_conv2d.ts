/**
 * WGSL of `depthwiseConv2d`: a thread computes `lanes` channels of one place.
 *
 * `x` `[Y, X, C]`, `w` `[KY * KX, C]`, `y` `[Y', X', C]`, all f32; `lanes` must
 * divide C.
 *
 * Dispatch: `Y' * X' * C / lanes` threads in workgroups of 64, `grid()`.
 */
export function depthwiseConv2dWgsl(lanes: 1 | 4): string {
  return `
alias Elem = ${lanes === 4 ? "vec4f" : "f32"};

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> w: array<Elem>;
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;

struct Params {
  rows: u32,       // Y
  columns: u32,    // X
  outColumns: u32, // X'
  elements: u32,   // Y' * X' * C / lanes
  top: u32,
  left: u32,
}
@group(0) @binding(3) var<uniform> params: Params;

override CHANNELS: u32; // C / lanes
override KERNEL_ROWS: u32;
override KERNEL_COLUMNS: u32;
override STRIDE_Y: u32;
override STRIDE_X: u32;

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
  // Places of the padding wrap around to numbers beyond the picture.
  let top = place / params.outColumns * STRIDE_Y - params.top;
  let left = place % params.outColumns * STRIDE_X - params.left;
  var sum = Elem();
  for (var ky = 0u; ky < KERNEL_ROWS; ky++) {
    let row = top + ky;
    if (row >= params.rows) { continue; }
    for (var kx = 0u; kx < KERNEL_COLUMNS; kx++) {
      let column = left + kx;
      if (column >= params.columns) { continue; }
      let tap = ky * KERNEL_COLUMNS + kx;
      sum += x[(row * params.columns + column) * CHANNELS + c] * w[tap * CHANNELS + c];
    }
  }
  y[i] = sum;
}
`;
}
