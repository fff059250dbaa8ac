import type { CacheDtype } from "../../../../core/dtype.ts";
import { kvStoreWgsl } from "../kv_store.ts";
import { kernelWgsl, WorkgroupSums } from "./kernel.ts";
import {
  float,
  type LayerKernel,
  type LayerShape,
  range,
} from "./layer_shape.ts";

/** Threads of a workgroup: four for each key of a tile. */
const THREADS = 256;
/** Keys whose scores exist at a time. */
export const ATTEND_KEYS = 64;
const KEYS = ATTEND_KEYS;
/** Threads of a key. */
const LANES = THREADS / KEYS;
/** The dimensions of a head that the threads of a key and of a value divide. */
export const ATTEND_HEADS: readonly number[] = [16, 32, 64, 128, 256];

/**
 * WGSL of a layer's second kernel: queries, and the new key and value where the
 * layer has its own, are normed and rotated, and the query heads of a key-value
 * head meet a part of its keys, with a running largest score and a running sum
 * (online softmax).
 *
 * `projected` as project.ts leaves it, `cosines` and `sines` `[H / 2]`, rings
 * `keys` and `values` `[capacity, K, H]`. The row at `position` sees positions
 * `position - window + 1 .. position`, which the splits divide. The last split
 * takes the new key and value from registers and writes them to the rings; no
 * other one reads their place. Writes `partials` `[N, splits, H]`, unscaled, and
 * largest score and sum of each split, `statistics` `[N, splits]`.
 *
 * A tile is {@link ATTEND_KEYS} keys. Its values are loaded while its scores become
 * weights. Dispatch: (K, splits).
 */
export function attendKernel(
  shape: LayerShape,
  dtype: CacheDtype,
): LayerKernel {
  const { headDim, heads, kvHeads, subgroups } = shape;
  const size: AttendSize = {
    shared: heads / kvHeads,
    quads: headDim / 4,
    together: THREADS / (headDim / 4),
    owning: shape.keyValue !== undefined,
  };
  const sums = new WorkgroupSums(subgroups, THREADS);
  const ring = (name: string) => ({
    name,
    element: "KvVector",
    writes: size.owning,
  });
  const rings = [ring("keys"), ring("values")];
  return {
    label: `decoderLayer attend ${
      shape.window === undefined ? "full" : "sliding"
    }`,
    groups: kvHeads,
    cost: 0, // the caller knows how many keys there are
    code: kernelWgsl(subgroups, {
      threads: THREADS,
      bindings: [
        { name: "projected", element: "vec4f" },
        { name: "vectors", element: "vec4f" },
        { name: "cosines", element: "vec4f" },
        { name: "sines", element: "vec4f" },
        ...rings,
        { name: "partials", element: "vec4f", writes: true },
        { name: "statistics", element: "vec2f", writes: true },
      ],
      params: ["position", "capacity"],
      body: [
        keyRange(shape),
        rotate(shape, size, sums),
        begin(size),
        tileLoop(size, kvHeads),
        leavePartials(size),
      ],
      declarations: [
        `${kvStoreWgsl(dtype)}
// Below every score; infinity minus itself would be NaN.
const LOWEST = -3.4e38;
var<workgroup> query: array<vec4f, ${size.shared * size.quads}>;
var<workgroup> parts: array<f32, ${size.shared * THREADS}>; // [g, key, lane]
var<workgroup> scores: array<f32, ${size.shared * KEYS}>; // [g, key]
var<workgroup> weights: array<f32, ${size.shared * KEYS}>;
var<workgroup> largest: array<f32, ${size.shared}>;
var<workgroup> shrink: array<f32, ${size.shared}>;
var<workgroup> sumQuads: array<vec4f, ${THREADS}>;
var<workgroup> sumWeights: array<f32, ${THREADS}>;
// Two halves of a head turn together: quad q with the one half a head away.
fn rotated(q: u32, x: vec4f, partner: vec4f) -> vec4f {
  let at = q % ${size.quads / 2}u;
  let sine = select(sines[at], -sines[at], q < ${size.quads / 2}u);
  return x * cosines[at] + partner * sine;
}
fn largestOf(g: u32) -> f32 {
  var most = largest[g];
  for (var s = 0u; s < ${KEYS}u; s += 8u) {
${
          range(8).map((i) =>
            `    most = max(most, scores[g * ${KEYS}u + s + ${i}u]);`
          ).join("\n")
        }
  }
  return most;
}`,
        sums.declaration(),
      ],
    }),
  };
}

/** Sizes that the parts of the kernel share. */
interface AttendSize {
  /** Query heads of a key-value head, G. */
  readonly shared: number;
  /** Quads of a head. */
  readonly quads: number;
  /** Values that the threads meet at a time. */
  readonly together: number;
  /** Whether the layer has keys and values of its own. */
  readonly owning: boolean;
}

/** Positions `begin .. end` of the ring that this split meets. */
function keyRange({ window, keyValue }: LayerShape): string {
  return `  let head = group.x;
  let split = group.y;
  let isLast = split + 1u == groups.y;
  var firstKey = 0u;
${
    window === undefined
      ? ""
      : `  if (params.position >= ${window}u) { firstKey = params.position - ${
        window - 1
      }u; }`
  }
  // A new key is in no ring yet.
  let pastKey = params.position${keyValue ? "" : " + 1u"};
  let tiles = (pastKey - firstKey + ${KEYS - 1}u) / ${KEYS}u;
  let tilesPerSplit = (tiles + groups.y - 1u) / groups.y;
  let begin = firstKey + split * tilesPerSplit * ${KEYS}u;
  let end = min(pastKey, begin + tilesPerSplit * ${KEYS}u);`;
}

/** Quads of the query heads, and of the new key and value, that a thread has. */
function rotate(
  { headDim, heads, kvHeads, eps, qNorm, keyValue }: LayerShape,
  { shared, quads, owning }: AttendSize,
  sums: WorkgroupSums,
): string {
  const own = range(Math.ceil(shared * quads / THREADS));
  const half = quads / 2;
  const at = (i: number) => `thread + ${i * THREADS}u`;
  const queries = own.map((i) =>
    `  var q${i} = vec4f(); var partner${i} = vec4f();
  let head${i} = (${at(i)}) / ${quads}u; let quad${i} = (${at(i)}) % ${quads}u;
  let other${i} = select(quad${i} - ${half}u, quad${i} + ${half}u, quad${i} < ${half}u);
  if (${at(i)} < ${shared * quads}u) {
    let base = (head * ${shared}u + head${i}) * ${quads}u;
    q${i} = projected[base + quad${i}];
    partner${i} = projected[base + other${i}];
  }
  let square${i} = dot(q${i}, q${i});`
  );
  const squareOf = (g: number) =>
    own.map((i) => `select(0.0, square${i}, head${i} == ${g}u)`).join(" + ");
  const newKey = owning
    ? `  var newKey = vec4f(); var newPartner = vec4f(); var newValue = vec4f();
  if (thread < ${quads}u) {
    let base = ${heads * quads}u + head * ${quads}u;
    newKey = projected[base + quad0];
    newPartner = projected[base + other0];
    newValue = projected[base + ${kvHeads * quads}u + quad0];
  }`
    : "";
  const total = sums.lines([
    ...range(shared).map((g) => [`squares${g}`, squareOf(g)] as const),
    ...(owning
      ? [
        ["keySquares", "dot(newKey, newKey)"],
        ["valueSquares", "dot(newValue, newValue)"],
      ] as const
      : []),
  ]);
  const factor = (squares: string) =>
    `inverseSqrt(${squares} / ${float(headDim)} + ${float(eps)})`;
  const normed = own.map((i) =>
    `  if (${at(i)} < ${shared * quads}u) {
    var squares = 0.0;
${
      range(shared).map((g) =>
        `    squares = select(squares, squares${g}, head${i} == ${g}u);`
      ).join("\n")
    }
    query[${at(i)}] = rotated(quad${i}, q${i} * vectors[${qNorm}u + quad${i}],
      partner${i} * vectors[${qNorm}u + other${i}]) * ${factor("squares")};
  }`
  );
  const stored = keyValue
    ? `  newKey = rotated(quad0, newKey * vectors[${keyValue.kNorm}u + quad0],
    newPartner * vectors[${keyValue.kNorm}u + other0]) * ${
      factor("keySquares")
    };
  newValue *= ${factor("valueSquares")};`
    : "";
  return [...queries, newKey, total, ...normed, stored].join("\n");
}

/** What the sums begin with: the new key and value, in the last split. */
function begin(
  { shared, quads, owning }: AttendSize,
): string {
  const heads = range(shared);
  const zeros = `${
    heads.map((g) => `  var sum${g} = vec4f(); var total${g} = 0.0;`).join("\n")
  }
  workgroupBarrier();`;
  if (!owning) {
    return `  if (thread < ${shared}u) { largest[thread] = LOWEST; }\n${zeros}`;
  }
  return `${zeros}
  if (thread < ${quads}u) {
${
    heads.map((g) =>
      `    parts[${g * quads}u + thread] = dot(query[${
        g * quads
      }u + thread], newKey);`
    ).join("\n")
  }
  }
  workgroupBarrier();
  if (thread < ${shared}u) {
    var score = 0.0;
    for (var i = 0u; i < ${quads}u; i++) { score += parts[thread * ${quads}u + i]; }
    largest[thread] = select(LOWEST, score, isLast);
  }
  if (isLast && thread < ${quads}u) {
${heads.map((g) => `    sum${g} = newValue; total${g} = 1.0;`).join("\n")}
    let slot = ((params.position % params.capacity) * groups.x + head) * ${quads}u + thread;
    keys[slot] = kvPack(newKey);
    values[slot] = kvPack(newValue);
  }
  workgroupBarrier();`;
}

/** Meets the keys of the split, tile after tile. */
function tileLoop(size: AttendSize, kvHeads: number): string {
  const { shared, quads, together } = size;
  const heads = range(shared);
  const keyLoads = range(quads / LANES);
  const valueLoads = range(KEYS / together);
  const ringRow = (position: string) =>
    `(((${position}) % params.capacity) * ${kvHeads}u + head) * ${quads}u`;
  return `  let key = thread / ${LANES}u;
  let lane = thread % ${LANES}u;
  let valueKey = thread / ${quads}u;
  let valueQuad = thread % ${quads}u;
  for (var tile = begin; tile < end; tile += ${KEYS}u) {
    {
      // Beyond the last key it is met again, with a score of nothing.
      let row = ${ringRow("min(tile + key, end - 1u)")} + lane;
${
    keyLoads.map((i) => `      let key${i} = keys[row + ${i * LANES}u];`).join(
      "\n",
    )
  }
${
    heads.map((g) =>
      `      parts[${g * THREADS}u + thread] = ${
        keyLoads.map((i) =>
          `dot(query[${g * quads + i * LANES}u + lane], kvLoad(key${i}))`
        ).join(" + ")
      };`
    ).join("\n")
  }
    }
${
    valueLoads.map((i) =>
      `    let value${i} = values[${
        ringRow(`min(tile + ${i * together}u + valueKey, end - 1u)`)
      } + valueQuad];`
    ).join("\n")
  }
    workgroupBarrier();
    for (var i = thread; i < ${shared * KEYS}u; i += ${THREADS}u) {
      let score = ${
    range(LANES).map((l) => `parts[i * ${LANES}u + ${l}u]`).join(" + ")
  };
      scores[i] = select(LOWEST, score, tile + i % ${KEYS}u < end);
    }
    workgroupBarrier();
    for (var i = thread; i < ${shared * KEYS}u; i += ${THREADS}u) {
      weights[i] = exp(scores[i] - largestOf(i / ${KEYS}u));
    }
    workgroupBarrier();
    if (thread < ${shared}u) {
      let most = largestOf(thread);
      shrink[thread] = exp(largest[thread] - most);
      largest[thread] = most;
    }
    workgroupBarrier();
${
    heads.map((g) => `    sum${g} *= shrink[${g}]; total${g} *= shrink[${g}];`)
      .join("\n")
  }
${
    valueLoads.map((i) =>
      `    { let value = kvLoad(value${i});
${
        heads.map((g) =>
          `      { let weight = weights[${g * KEYS + i * together}u + valueKey];
        total${g} += weight; sum${g} += weight * value; }`
        ).join("\n")
      } }`
    ).join("\n")
  }
  }`;
}

/** Sums what the threads of each quad found. */
function leavePartials(
  { shared, quads, together }: AttendSize,
): string {
  const sum = (name: string) =>
    range(together).map((i) => `${name}[thread + ${i * quads}u]`).join(" + ");
  return range(shared).map((g) =>
    `  workgroupBarrier();
  sumQuads[thread] = sum${g};
  sumWeights[thread] = total${g};
  workgroupBarrier();
  if (thread < ${quads}u) {
    let at = (head * ${shared}u + ${g}u) * groups.y + split;
    partials[at * ${quads}u + thread] = ${sum("sumQuads")};
    if (thread == 0u) {
      statistics[at] = vec2f(largest[${g}], ${sum("sumWeights")});
    }
  }`
  ).join("\n");
}
