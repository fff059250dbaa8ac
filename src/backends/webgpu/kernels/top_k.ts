import { logitKeysWgsl, LOGITS_CHUNK } from "./logit_keys.ts";

/** Most ids to keep, and entries of each chunk. */
export const TOP_K_ENTRIES = 128;

/**
 * Keys so near that a division by the temperature may make their logits equal,
 * or change which of them is larger.
 */
export const NEAR_KEYS = 4;

/** Vectors of four keys of each thread of a chunk. */
const VECTORS = LOGITS_CHUNK / 4 / 256;

/**
 * WGSL of a search for the `k`-th largest of the keys that the threads of a
 * workgroup hold, 0 where there are fewer: bit by bit, counting the keys that
 * are as large. The threads hold `vectors` vectors of four, `held0` and on;
 * the search becomes statements that leave the result in `threshold`.
 */
export function kthLargestWgsl(
  vectors: number,
): { declarations: string; search: string } {
  const sums = Array.from(
    { length: vectors },
    (_, i) => `select(vec4u(), vec4u(1u), held${i} >= vec4u(wanted))`,
  ).join(" +\n      ");
  return {
    declarations: `
var<workgroup> counts: array<atomic<u32>, 32>;
`,
    search: `
  if (thread < 32u) { atomicStore(&counts[thread], 0u); }
  workgroupBarrier();
  var threshold = 0u;
  for (var bit = 0u; bit < 32u; bit++) {
    let wanted = threshold | (0x80000000u >> bit);
    let large = ${sums};
    // Sums of zero would wait for each other: most are, from the tenth bit on.
    let own = large.x + large.y + large.z + large.w;
    if (own > 0u) { atomicAdd(&counts[bit], own); }
    workgroupBarrier();
    let count = atomicLoad(&counts[bit]);
    threshold = select(threshold, wanted, count >= params.k);
  }
`,
  };
}

const { declarations, search } = kthLargestWgsl(VECTORS);

/** Index of an element of a vector, below the chunk's first. */
function offset(vector: number, lane: number): string {
  return `${256 * (4 * vector + lane)}u + thread`;
}

const eachVector = (text: (vector: number) => string) =>
  Array.from({ length: VECTORS }, (_, i) => text(i)).join("\n");

const eachElement = (text: (vector: number, lane: number) => string) =>
  eachVector((i) => [0, 1, 2, 3].map((lane) => text(i, lane)).join("\n"));

/**
 * WGSL of the first part of `sample` from the `k` likeliest ids: of each
 * `LOGITS_CHUNK` elements of a row the `k` largest, and those near the
 * last of them as far as there is room.
 *
 * `logits` `[T, VOCAB]` f32, read as bits; `entries` `[T, chunks, 128]`: key
 * and id; `heads` `[T, chunks]`: the key of the k-th largest, the number of
 * entries, and whether some near the k-th were left out.
 *
 * Dispatch: a workgroup for each chunk in x, the rows in y.
 */
export const topKWgsl = `${logitKeysWgsl}${declarations}
const THREADS = 256u;
const CHUNK = ${LOGITS_CHUNK}u;
const ENTRIES = ${TOP_K_ENTRIES}u;
const NEAR = ${NEAR_KEYS}u;

struct Params { k: u32 }

@group(0) @binding(0) var<storage, read> logits: array<u32>;
@group(0) @binding(1) var<storage, read_write> entries: array<vec2u>;
@group(0) @binding(2) var<storage, read_write> heads: array<vec4u>;
@group(0) @binding(3) var<uniform> params: Params;

override VOCAB: u32;

var<workgroup> count: atomic<u32>;

fn keyAt(row: u32, id: u32) -> u32 {
  if (id >= VOCAB) { return 0u; }
  let key = keyOf(logits[row * VOCAB + id]);
  return select(key, 0u, key <= LEAST_KEY); // which is never chosen
}

fn add(list: u32, key: u32, id: u32) {
  let place = atomicAdd(&count, 1u);
  if (place < ENTRIES) { entries[list * ENTRIES + place] = vec2u(key, id); }
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.y;
  let first = group.x * CHUNK;
  let list = row * groups.x + group.x;
${
  eachVector((i) =>
    `  let held${i} = vec4u(${
      [0, 1, 2, 3].map((lane) => `keyAt(row, first + ${offset(i, lane)})`).join(
        ", ",
      )
    });`
  )
}
${search}
  if (thread == 0u) { atomicStore(&count, 0u); }
  workgroupBarrier();
${
  eachElement((i, lane) =>
    `  if (held${i}[${lane}] > threshold) { add(list, held${i}[${lane}], first + ${
      offset(i, lane)
    }); }`
  )
}
  workgroupBarrier();
  let near = threshold - min(threshold, NEAR);
${
  eachElement((i, lane) =>
    `  if (held${i}[${lane}] <= threshold && held${i}[${lane}] >= max(near, 1u)) { add(list, held${i}[${lane}], first + ${
      offset(i, lane)
    }); }`
  )
}
  workgroupBarrier();
  if (thread == 0u) {
    let found = atomicLoad(&count);
    heads[list] = vec4u(
      threshold,
      min(found, ENTRIES),
      select(0u, 1u, found > ENTRIES),
      0u,
    );
  }
}
`;
