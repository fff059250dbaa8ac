import { GroupProducts } from "./group_products.ts";
import { type KernelBinding, kernelCode, WEIGHT_BINDINGS } from "./kernel.ts";
import {
  costOf,
  type LayerKernel,
  type LayerShape,
  range,
  rowsFor,
  threadsFor,
} from "./layer_shape.ts";
import {
  Octets,
  oneMatrix,
  type ProductLines,
  RowProducts,
  rowsOf,
} from "./products.ts";
import { preparedPlaces } from "./left_places.ts";
import { splitsOf } from "./merge_splits.ts";
import { SharedVector } from "./shared_vector.ts";

/** Workgroups that are wanted, and most rows of one. */
const GROUPS = 128;
const MOST_ROWS = 16;
/** Most splits of the keys that this kernel merges: every workgroup does it. */
export const MERGED_SPLITS = 16;
/** Splits whose loads are under way together. */
const UNROLLED = 8;

/**
 * WGSL of a layer's third kernel: attention's output projection, beside the right
 * half of LAuReL.
 *
 * `partials` as attend.ts leaves them, of at most {@link MERGED_SPLITS}; with
 * `merged` instead `attended` `[N, H]`.
 * `projected` as project.ts leaves it. Writes `outputs` `[2, D]`: attention and
 * LAuReL, raw.
 */
export function attentionOutputKernel(
  shape: LayerShape,
  merged: boolean,
): LayerKernel {
  const { heads, headDim, rank, hidden, subgroups, oProj, laurelRight } = shape;
  const threads = threadsFor(heads * headDim);
  const rows = rowsFor(hidden, GROUPS, MOST_ROWS);
  const vectors = {
    attended: new Octets("a", heads * headDim, threads),
    laurel: new Octets("l", rank, threads),
  };
  const attention = attentionProducts(shape, vectors.attended, rows);
  const right = new RowProducts({
    octets: vectors.laurel,
    subgroups,
    rows,
    ...oneMatrix(laurelRight, "first"),
  });
  return {
    label: "decoderLayer attentionOutput",
    groups: Math.ceil(hidden / rows),
    cost: costOf([oProj, laurelRight]),
    ...kernelCode(subgroups, {
      threads,
      bindings: [
        ...(merged ? ATTENDED_BINDINGS : SPLIT_BINDINGS),
        { name: "projected", element: "vec4f" },
        ...WEIGHT_BINDINGS,
        { name: "outputs", element: "f32", writes: true },
      ],
      declarations: [
        merged ? "" : mergeFunction(heads, headDim),
        attention.declaration,
        right.declaration(),
      ],
      body: [
        `  let first = group.x * ${rows}u;`,
        vectors.attended.declare(),
        vectors.laurel.declare(),
        attention.before,
        right.before(),
        loadVectors(shape, vectors, merged),
        attention.after,
        right.after(),
        `  if (thread < ${rows}u && first + thread < ${hidden}u) {
    outputs[first + thread] = attentionTotal(thread);
    outputs[${hidden}u + first + thread] = lTotal(thread);
  }`,
      ],
    }),
  };
}

/** Products of the output projection, as `attentionTotal(r)`. */
function attentionProducts(
  { subgroups, hidden, oProj }: LayerShape,
  octets: Octets,
  rows: number,
): ProductLines {
  const { threads, width, lanes } = octets;
  const suits = lanes === threads &&
    GroupProducts.suits(subgroups, threads, width, [oProj.format]);
  if (suits) {
    const products = new GroupProducts({
      name: "g",
      width,
      threads,
      subgroups,
      matrices: [rowsOf(oProj)],
      rows,
      together: 1,
      row: (index) => `min(first + ${index}, ${hidden - 1}u)`,
    });
    const vector = new SharedVector(octets, subgroups);
    return {
      declaration: `${vector.declaration()}
${products.declaration()}
fn attentionTotal(r: u32) -> f32 { return gTotal(0u, r); }`,
      before: products.before(),
      after: `${vector.share()}\n${vector.multiply(products)}`,
    };
  }
  const products = new RowProducts({
    octets,
    subgroups,
    rows,
    ...oneMatrix(oProj, "first"),
  });
  return {
    declaration: `${products.declaration()}
fn attentionTotal(r: u32) -> f32 { return aTotal(r); }`,
    before: products.before(),
    after: products.after(),
  };
}

const ATTENDED_BINDINGS: readonly KernelBinding[] = [
  { name: "attended", element: "vec4f" },
];
const SPLIT_BINDINGS: readonly KernelBinding[] = [
  { name: "partials", element: "vec4f" },
];

/** What attention gives, and LAuReL's left half. */
function loadVectors(
  shape: LayerShape,
  { attended, laurel }: Readonly<Record<"attended" | "laurel", Octets>>,
  merged: boolean,
): string {
  const { heads, headDim } = shape;
  const laurelQuads = preparedPlaces(shape).laurel / 4;
  const left = laurel.eachQuad((q, x) =>
    `  ${x} = projected[${laurelQuads}u + ${q}];`
  );
  if (merged) {
    return `${left}\n${
      attended.eachQuad((q, x) => `  ${x} = attended[${q}];`)
    }`;
  }
  return `${left}
  let splits = ${splitsOf(heads, headDim / 4)};
${weighSplits(heads, attended.threads)}
${attended.eachQuad((q, x) => `  ${x} = mergedQuad(${q}, splits);`)}`;
}

/**
 * The factor of each split, and its part of the sum of all weights: a thread for
 * each.
 */
function weighSplits(heads: number, threads: number): string {
  const turns = range(Math.ceil(heads * MERGED_SPLITS / threads));
  const own = turns.map((t) => `thread + ${t * threads}u`);
  return `${
    own.map((i) =>
      `  if (${i} < ${heads}u * splits) { found[${i}] = partials[${i}].xy; }`
    ).join("\n")
  }
  workgroupBarrier();
${
    own.map((i, t) =>
      `  let first${t} = (${i}) / splits * splits;
  let own${t} = found[min(${i}, ${heads * MERGED_SPLITS - 1}u)];
  var largest${t} = own${t}.x;
  for (var s = 0u; s < splits; s++) {
    largest${t} = max(largest${t}, found[min(first${t} + s, ${
        heads * MERGED_SPLITS - 1
      }u)].x);
  }`
    ).join("\n")
  }
  workgroupBarrier();
${
    own.map((i, t) =>
      `  if (${i} < ${heads}u * splits) {
    let factor = exp(own${t}.x - largest${t});
    found[${i}] = vec2f(factor, factor * own${t}.y);
  }`
    ).join("\n")
  }
  workgroupBarrier();`;
}

/**
 * A quad of what attention gives, from what each split of the keys found. What
 * splits lack is read again, and not added, so that loads of all are under way
 * together.
 */
function mergeFunction(heads: number, headDim: number): string {
  const quads = headDim / 4;
  const turn = range(UNROLLED).map((i) =>
    `    let at${i} = base + min(s + ${i}u, splits - 1u);
    let part${i} = partials[${heads}u * splits + at${i} * ${quads}u + h];`
  );
  const sum = range(UNROLLED).map((i) =>
    `    let weight${i} = select(vec2f(), found[at${i}], s + ${i}u < splits);
    sum += weight${i}.x * part${i}; total += weight${i}.y;`
  );
  return `var<workgroup> found: array<vec2f, ${heads * MERGED_SPLITS}>;
fn mergedQuad(quad: u32, splits: u32) -> vec4f {
  let base = (quad / ${quads}u) * splits;
  let h = quad % ${quads}u;
  var total = 0.0;
  var sum = vec4f();
  for (var s = 0u; s < splits; s += ${UNROLLED}u) {
${[...turn, ...sum].join("\n")}
  }
  return sum / total;
}`;
}
