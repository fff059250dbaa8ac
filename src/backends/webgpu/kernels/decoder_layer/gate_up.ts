import { mathWgsl } from "../math.ts";
import { activatedElement } from "./activated.ts";
import {
  kernelCode,
  quadStore,
  WEIGHT_BINDINGS,
  WorkgroupSums,
} from "./kernel.ts";
import {
  costOf,
  float,
  type LayerKernel,
  type LayerShape,
  rowsFor,
  threadsFor,
} from "./layer_shape.ts";
import { expandedPlaces } from "./left_places.ts";
import { GroupProducts } from "./group_products.ts";
import { Octets, type ProductLines, RowProducts, rowsOf } from "./products.ts";
import { SharedVector } from "./shared_vector.ts";

/** Workgroups that are wanted, and most pairs of rows of one. */
const GROUPS = 256;
const MOST_PAIRS = 32;

/**
 * WGSL of a layer's fourth kernel: what attention and LAuReL give joins the
 * active stream, which is normed and meets the gate and up projections.
 *
 * `outputs` `[2, D]` as attention_output.ts leaves them, `state` `[A + 1, D]` as
 * project.ts does. Writes `expanded` as `expandedPlaces` has it: `[D]`, what the
 * MLP's result is added to; and `[F]`, `gelu(gate) * up`, in sparse layers `[2, F]`,
 * gate and up, with mean and sum of squared distances from it of each workgroup's
 * gates. activated.ts says how gates lie.
 */
export function gateUpKernel(shape: LayerShape): LayerKernel {
  const { hidden, intermediate, subgroups, gateProj, upProj } = shape;
  const threads = threadsFor(hidden);
  const pairs = gatePairs(shape);
  const groups = gateGroups(shape);
  const places = expandedPlaces(shape, groups);
  const octets = new Octets("d", hidden, threads, threads);
  const isSparse = shape.cutoff !== undefined;
  const products = pairProducts(shape, octets, pairs);
  const sums = new WorkgroupSums(subgroups, threads);
  return {
    label: "decoderLayer gateUp",
    groups,
    cost: costOf([gateProj, upProj]),
    ...kernelCode(subgroups, {
      threads,
      bindings: [
        { name: "outputs", element: "vec4f" },
        { name: "state", element: "vec4f" },
        ...WEIGHT_BINDINGS,
        { name: "expanded", element: "f32", writes: true },
      ],
      body: [
        `  let first = group.x * ${pairs}u;`,
        octets.declare(),
        products.before,
        joinActive(shape, octets, sums, Math.ceil(hidden / 4 / groups)),
        products.after,
        isSparse
          ? leaveGates(shape, pairs, places)
          : `  if (thread < ${pairs}u && first + thread < ${intermediate}u) {
    expanded[${places.activated}u + ${
            activatedElement(intermediate, "first + thread")
          }] =
      geluOf(gateTotal(thread)) * upTotal(thread);
  }`,
      ],
      declarations: [
        mathWgsl,
        quadStore("expanded"),
        isSparse ? `var<workgroup> gates: array<f32, ${pairs}>;` : "",
        sums.declaration(),
        products.declaration,
      ],
    }),
  };
}

/** Products of as many rows of gate and up, as `gateTotal(r)` and `upTotal(r)`. */
function pairProducts(
  { hidden, intermediate, subgroups, gateProj, upProj }: LayerShape,
  octets: Octets,
  pairs: number,
): ProductLines {
  const formats = [gateProj.format, upProj.format];
  const matrices = [rowsOf(gateProj), rowsOf(upProj)];
  const row = (index: string) => `min(first + ${index}, ${intermediate - 1}u)`;
  const { threads } = octets;
  if (GroupProducts.suits(subgroups, threads, hidden, formats)) {
    const products = new GroupProducts({
      name: "g",
      width: hidden,
      threads,
      subgroups,
      matrices,
      rows: pairs,
      together: 1,
      row,
    });
    const vector = new SharedVector(octets, subgroups);
    return {
      declaration: `${vector.declaration()}
${products.declaration()}
fn gateTotal(r: u32) -> f32 { return gTotal(0u, r); }
fn upTotal(r: u32) -> f32 { return gTotal(1u, r); }`,
      before: products.before(),
      after: `${vector.share()}\n${vector.multiply(products)}`,
    };
  }
  const products = new RowProducts({
    octets,
    subgroups,
    rows: 2 * pairs,
    formats,
    row: (_, i) => row(`${i >> 1}u`),
    source: (rows, lines) =>
      matrices.map((matrix, parity) =>
        lines(matrix, rows.filter(({ i }) => i % 2 === parity))
      ).join("\n"),
  });
  return {
    declaration: `${products.declaration()}
fn gateTotal(r: u32) -> f32 { return dTotal(2u * r); }
fn upTotal(r: u32) -> f32 { return dTotal(2u * r + 1u); }`,
    before: products.before(),
    after: products.after(),
  };
}

/** Workgroups. */
export function gateGroups(shape: LayerShape): number {
  return Math.ceil(shape.intermediate / gatePairs(shape));
}

/** Outputs of the gate that a workgroup computes. */
export function gatePairs({ intermediate, hidden }: LayerShape): number {
  const most = Math.min(MOST_PAIRS, threadsFor(hidden));
  return rowsFor(intermediate, GROUPS, most);
}

/** The vector of the products; each workgroup writes a part of what it norms. */
function joinActive(
  shape: LayerShape,
  octets: Octets,
  sums: WorkgroupSums,
  quads: number,
): string {
  const { hidden, streams, eps } = shape;
  const names = ["attention", "laurel", "base", "norm"];
  const factor = (squares: string) =>
    `inverseSqrt(${squares} / ${float(hidden)} + ${float(eps)})`;
  return `${
    names.flatMap((name) =>
      octets.ids.map((id) => `  var ${name}${id} = vec4f();`)
    )
      .join("\n")
  }
  var attentionSquare = 0.0; var laurelSquare = 0.0;
${
    octets.eachQuad((q, _, id) =>
      `  attention${id} = outputs[${q}]; laurel${id} = outputs[${
        hidden / 4
      }u + ${q}];
  base${id} = state[${q}] + state[${streams * hidden / 4}u + ${q}];
  attentionSquare += dot(attention${id}, attention${id});
  laurelSquare += dot(laurel${id}, laurel${id});
  // No load waits for a sum.
  attention${id} *= vectors[${shape.attentionNorm}u + ${q}];
  laurel${id} *= vectors[${shape.laurelNorm}u + ${q}];
  norm${id} = vectors[${shape.preFeedforwardNorm}u + ${q}];`
    )
  }
${
    sums.lines([
      ["attentionSquares", "attentionSquare"],
      ["laurelSquares", "laurelSquare"],
    ])
  }
  let attentionFactor = ${factor("attentionSquares")};
  let laurelFactor = ${factor("laurelSquares")};
  var midSquare = 0.0;
${
    octets.eachQuad((q, x, id) =>
      `  ${x} = ${float(Math.SQRT1_2)} * (base${id} +
    attention${id} * attentionFactor + laurel${id} * laurelFactor);
  midSquare += dot(${x}, ${x});
  if (${q} / ${quads}u == group.x) { storeQuad(${q}, ${x}); }`
    )
  }
${sums.lines([["midSquares", "midSquare"]])}
  let midFactor = ${factor("midSquares")};
${octets.eachQuad((_, x, id) => `  ${x} *= midFactor * norm${id};`)}`;
}

/** Gate and up as they are, and what the Gaussian top-k needs of the gates. */
function leaveGates(
  { intermediate }: LayerShape,
  pairs: number,
  places: ReturnType<typeof expandedPlaces>,
): string {
  return `  if (thread < ${pairs}u && first + thread < ${intermediate}u) {
    let at = ${activatedElement(intermediate, "first + thread")};
    gates[thread] = gateTotal(thread);
    expanded[${places.activated}u + at] = gates[thread];
    expanded[${places.activated + intermediate}u + at] = upTotal(thread);
  }
  workgroupBarrier();
  if (thread == 0u) {
    let count = min(${pairs}u, ${intermediate}u - first);
    var mean = 0.0;
    for (var i = 0u; i < count; i++) { mean += gates[i]; }
    mean /= f32(count);
    var squares = 0.0;
    for (var i = 0u; i < count; i++) {
      let distance = gates[i] - mean;
      squares += distance * distance;
    }
    storeQuad(${
    places.statistics / 4
  }u + group.x, vec4f(mean, squares, 0.0, 0.0));
  }`;
}
