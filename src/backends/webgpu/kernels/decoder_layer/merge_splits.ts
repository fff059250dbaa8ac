import { kernelCode } from "./kernel.ts";
import { type LayerKernel, type LayerShape, range } from "./layer_shape.ts";

const THREADS = 256;
/** Most quads of a head that a workgroup has. */
const MOST_QUADS = 32;
/** Splits whose loads are under way together. */
const UNROLLED = 8;
/** Most splits. */
export const LONG_SPLITS = 128;

/**
 * WGSL that merges what attend.ts left in `partials` of many splits of the keys, at
 * most {@link LONG_SPLITS}. Writes `attended` `[N, H]`.
 *
 * A workgroup has some quads of a head; its threads divide the splits too.
 * Dispatch: (N, {@link mergeParts}).
 */
export function mergeSplitsKernel(shape: LayerShape): LayerKernel {
  const { heads, headDim, subgroups } = shape;
  const all = headDim / 4;
  const quads = Math.min(all, MOST_QUADS);
  const together = THREADS / quads;
  const sum = (name: string) =>
    range(together).map((i) => `${name}[thread + ${i * quads}u]`).join(" + ");
  return {
    label: "decoderLayer mergeSplits",
    groups: heads,
    cost: heads * headDim * LONG_SPLITS,
    ...kernelCode(subgroups, {
      threads: THREADS,
      bindings: [
        { name: "partials", element: "vec4f" },
        { name: "attended", element: "vec4f", writes: true },
      ],
      declarations: [
        `var<workgroup> found: array<vec2f, ${LONG_SPLITS}>;
var<workgroup> sumQuads: array<vec4f, ${THREADS}>;
var<workgroup> sumWeights: array<f32, ${THREADS}>;`,
      ],
      body: [
        findLargest(heads, all),
        `  let statistics = ${heads}u * splits;
  let quad = group.y * ${quads}u + thread % ${quads}u;
  var total = 0.0;
  var sum = vec4f();
  for (var s = thread / ${quads}u; s < splits; s += ${UNROLLED * together}u) {
${addSplits(all, together)}
  }
  sumQuads[thread] = sum;
  sumWeights[thread] = total;
  workgroupBarrier();
  if (thread < ${quads}u) {
    attended[group.x * ${all}u + quad] = (${sum("sumQuads")}) / (${
          sum("sumWeights")
        });
  }`,
      ],
    }),
  };
}

/** The number of splits, which follows from the size of what they left, as WGSL. */
export function splitsOf(heads: number, quads: number): string {
  return `arrayLength(&partials) / ${heads * (quads + 1)}u`;
}

/** Workgroups of a head. */
export function mergeParts({ headDim }: LayerShape): number {
  return Math.max(1, headDim / 4 / MOST_QUADS);
}

/** The statistics in workgroup memory, and the largest score. */
function findLargest(heads: number, quads: number): string {
  return `  let splits = ${splitsOf(heads, quads)};
  let base = group.x * splits;
  if (thread < splits) { found[thread] = partials[base + thread].xy; }
  workgroupBarrier();
  var largest = found[0].x;
  for (var s = 0u; s < splits; s += ${UNROLLED}u) {
${
    range(UNROLLED).map((i) =>
      `    largest = max(largest, found[min(s + ${i}u, splits - 1u)].x);`
    ).join("\n")
  }
  }`;
}

/** What splits lack is read again, with a factor of nothing. */
function addSplits(quads: number, together: number): string {
  const all = range(UNROLLED);
  const at = (i: number) => `s + ${i * together}u`;
  return `${
    all.map((i) =>
      `    let at${i} = min(${at(i)}, splits - 1u);
    let part${i} = partials[statistics + (base + at${i}) * ${quads}u + quad];`
    ).join("\n")
  }
${
    all.map((i) =>
      `    let factor${i} = select(0.0, exp(found[at${i}].x - largest), ${
        at(i)
      } < splits);
    total += factor${i} * found[at${i}].y; sum += factor${i} * part${i};`
    ).join("\n")
  }`;
}
