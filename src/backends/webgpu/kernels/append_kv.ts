import type { FloatCacheDtype } from "../../../core/dtype.ts";
import { kvStoreWgsl } from "./kv_store.ts";

/**
 * WGSL of `appendKv`: writes keys and values `[T, K, H]`, f32, of one segment
 * into rings of kv_store.ts; position p lives in row p % capacity.
 *
 * @param lanes Elements of a load: 4 where 4 divides H.
 *
 * Dispatch: `rows * K * ceil(H / 4)` threads in workgroups of 64, in a grid of
 * any width.
 */
export function appendKvWgsl(dtype: FloatCacheDtype, lanes: 1 | 4): string {
  const elem = lanes === 4 ? "vec4f" : "f32";
  return `${kvStoreWgsl(dtype)}
@group(0) @binding(0) var<storage, read> k: array<${elem}>;
@group(0) @binding(1) var<storage, read> v: array<${elem}>;
@group(0) @binding(2) var<storage, read_write> keys: array<KvVector>;
@group(0) @binding(3) var<storage, read_write> values: array<KvVector>;
struct Params { firstRow: u32, rows: u32, firstPosition: u32, capacity: u32 }
@group(0) @binding(4) var<uniform> params: Params;

override KV_HEADS: u32; // K
override WIDTH: u32;    // H

@compute @workgroup_size(64)
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let vectors = (WIDTH + 3u) / 4u;
  let i = (group.y * groups.x + group.x) * 64u + thread;
  let row = i / (KV_HEADS * vectors);
  if (row >= params.rows) { return; }
  let slot = (params.firstPosition + row) % params.capacity;
  let inRow = i % (KV_HEADS * vectors);
  let to = slot * KV_HEADS * vectors + inRow;
  let head = (params.firstRow + row) * KV_HEADS + inRow / vectors;
  let at = inRow % vectors;
  keys[to] = kvPack(${vectorOf("k", lanes)});
  values[to] = kvPack(${vectorOf("v", lanes)});
}
`;
}

function vectorOf(name: string, lanes: 1 | 4): string {
  if (lanes === 4) return `${name}[head * vectors + at]`;
  const elements = [0, 1, 2, 3].map((i) =>
    `select(0.0, ${name}[head * WIDTH + min(4u * at + ${i}u, WIDTH - 1u)], 4u * at + ${i}u < WIDTH)`
  );
  return `vec4f(${elements.join(", ")})`;
}
