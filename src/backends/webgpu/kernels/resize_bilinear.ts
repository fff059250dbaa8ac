/**
 * WGSL of `resizeBilinear`, half-pixel centres: a thread computes `lanes`
 * channels of one place.
 *
 * `x` `[Y, X, C]`, `y` `[Y', X', C]`, both f32; `lanes` must divide C.
 *
 * Dispatch: `Y' * X' * C / lanes` threads in workgroups of 64, `grid()`.
 */
export function resizeBilinearWgsl(lanes: 1 | 4): string {
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

struct Neighbours { low: u32, high: u32, weight: f32 }

// The places that place i of the result lies between, and the weight of the higher.
fn neighbours(i: u32, places: u32, size: u32) -> Neighbours {
  // Twice the centre in units of 1 / size: whole numbers have no rounding.
  let wide = (2u * i + 1u) * places;
  let doubled = select(0u, wide - size, wide > size);
  let low = doubled / (2u * size);
  let weight = f32(doubled - low * 2u * size) / f32(2u * size);
  return Neighbours(low, min(low + 1u, places - 1u), weight);
}

fn at(row: u32, column: u32, c: u32) -> Elem {
  return x[(row * params.columns + column) * CHANNELS + c];
}

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
  let ys = neighbours(place / params.outColumns, params.rows, params.outRows);
  let xs = neighbours(place % params.outColumns, params.columns, params.outColumns);
  let upper = at(ys.low, xs.low, c) * (1.0 - xs.weight) +
    at(ys.low, xs.high, c) * xs.weight;
  let lower = at(ys.high, xs.low, c) * (1.0 - xs.weight) +
    at(ys.high, xs.high, c) * xs.weight;
  y[i] = upper * (1.0 - ys.weight) + lower * ys.weight;
}
`;
}
