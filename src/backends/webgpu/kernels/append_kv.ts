/**
 * WGSL of `appendKv`: writes keys and values `[T, K, H]` of one segment into
 * rings `[capacity, K, H]`; position p lives in row p % capacity.
 *
 * Dispatch: `rows * K * H / 64` workgroups in a grid of any width.
 */
export const appendKvWgsl = `
@group(0) @binding(0) var<storage, read> k: array<f32>;
@group(0) @binding(1) var<storage, read> v: array<f32>;
@group(0) @binding(2) var<storage, read_write> keys: array<f32>;
@group(0) @binding(3) var<storage, read_write> values: array<f32>;
struct Params { firstRow: u32, rows: u32, firstPosition: u32, capacity: u32 }
@group(0) @binding(4) var<uniform> params: Params;

override SIZE: u32; // K * H

@compute @workgroup_size(64)
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let i = (group.y * groups.x + group.x) * 64u + thread;
  let row = i / SIZE;
  if (row >= params.rows) { return; }
  let slot = (params.firstPosition + row) % params.capacity;
  let to = slot * SIZE + i % SIZE;
  let source = params.firstRow * SIZE + i;
  keys[to] = k[source];
  values[to] = v[source];
}
`;
