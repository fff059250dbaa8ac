import { mathWgsl } from "../math.ts";
import { activatedGroupQuad, activatedQuad } from "./activated.ts";
import { gateGroups, gatePairs } from "./gate_up.ts";
import { kernelCode, WEIGHT_BINDINGS, WorkgroupSums } from "./kernel.ts";
import {
  costOf,
  float,
  type LayerKernel,
  type LayerShape,
  range,
  rowsFor,
  threadsFor,
} from "./layer_shape.ts";
import { expandedPlaces } from "./left_places.ts";
import { GROUP_FUNCTIONS } from "./group_dots.ts";
import { GroupProducts } from "./group_products.ts";
import {
  Octets,
  oneMatrix,
  type ProductLines,
  RowProducts,
  rowsOf,
} from "./products.ts";

/**
 * Workgroups that are wanted, and most rows of one. Fewer in sparse layers, where
 * each cuts all gates anew.
 */
const GROUPS = { dense: 512, sparse: 256 };
const MOST_ROWS = 8;

/**
 * WGSL of a layer's fifth kernel, the down projection: `expanded` as gate_up.ts
 * leaves it, writes `feedforward` `[D]`.
 *
 * In sparse layers every workgroup cuts the gates at the Gaussian top-k: the mean
 * and deviation of all follow from those of the parts.
 */
export function downKernel(shape: LayerShape): LayerKernel {
  const { hidden, intermediate, subgroups, cutoff, downProj } = shape;
  const threads = threadsFor(intermediate);
  const isSparse = cutoff !== undefined;
  const wanted = isSparse ? GROUPS.sparse : GROUPS.dense;
  const rows = rowsFor(hidden, wanted, MOST_ROWS);
  const sums = new WorkgroupSums(subgroups, threads);
  const suits = GroupProducts.suits(subgroups, threads, intermediate, [
    downProj.format,
  ]);
  const products = suits
    ? downByGroups(shape, sums, rows)
    : downByOctets(shape, sums, rows);
  return {
    label: `decoderLayer down ${isSparse ? "sparse" : "dense"}`,
    groups: Math.ceil(hidden / rows),
    cost: costOf([downProj]),
    ...kernelCode(subgroups, {
      threads,
      bindings: [
        { name: "expanded", element: "vec4f" },
        ...WEIGHT_BINDINGS,
        { name: "feedforward", element: "f32", writes: true },
      ],
      body: [
        `  let first = group.x * ${rows}u;`,
        products.before,
        products.after,
        `  if (thread < ${rows}u && first + thread < ${hidden}u) {
    feedforward[first + thread] = downTotal(thread);
  }`,
      ],
      declarations: [
        isSparse ? mathWgsl + geluOfQuad : "",
        sums.declaration(),
        products.declaration,
      ],
    }),
  };
}

function downByGroups(
  shape: LayerShape,
  sums: WorkgroupSums,
  rows: number,
): ProductLines {
  const { hidden, intermediate, subgroups, cutoff, downProj } = shape;
  const threads = threadsFor(intermediate);
  const isSparse = cutoff !== undefined;
  // Elements that a lane computes or rounds anew cost more than further sums.
  const ownsOne = isSparse || subgroups.packedDots;
  const products = new GroupProducts({
    name: "g",
    width: intermediate,
    threads,
    subgroups,
    matrices: [rowsOf(downProj)],
    rows,
    together: ownsOne ? 4 : 2,
    laneGroups: ownsOne ? 1 : 2,
    row: (index) => `min(first + ${index}, ${hidden - 1}u)`,
  });
  const gates = gateQuads(shape);
  const cut = isSparse ? cutLines(shape, threads, sums, cutoff) : "";
  const multiply = products.after({
    quad(group, j) {
      const at = activatedGroupQuad(intermediate, group, j);
      const gate = `expanded[${gates}u + ${at}]`;
      return isSparse
        ? cutQuad(gate, `expanded[${gates + intermediate / 4}u + ${at}]`)
        : gate;
    },
  });
  return {
    declaration: `${subgroups.packedDots ? GROUP_FUNCTIONS : ""}
${products.declaration()}
fn downTotal(r: u32) -> f32 { return gTotal(0u, r); }`,
    before: products.before(),
    after: `${cut}\n${multiply}`,
  };
}

function downByOctets(
  shape: LayerShape,
  sums: WorkgroupSums,
  rows: number,
): ProductLines {
  const { intermediate, subgroups, cutoff, downProj } = shape;
  const octets = new Octets("f", intermediate, threadsFor(intermediate));
  const products = new RowProducts({
    octets,
    subgroups,
    rows,
    ...oneMatrix(downProj, "first"),
  });
  const vector = cutoff === undefined
    ? octets.eachQuad((q, x) =>
      `  ${x} = expanded[${gateQuads(shape)}u + ${
        activatedQuad(intermediate, q)
      }];`
    )
    : cutGates(shape, octets, sums, cutoff);
  return {
    declaration: `${products.declaration()}
fn downTotal(r: u32) -> f32 { return fTotal(r); }`,
    before: `${octets.declare()}\n${products.before()}`,
    after: `${vector}\n${products.after()}`,
  };
}

const geluOfQuad = `
// max() may lose NaN.
fn aboveNothing(x: vec4f) -> vec4f { return select(x, vec4f(), x < vec4f()); }
fn geluOfQuad(x: vec4f) -> vec4f {
  return vec4f(geluOf(x.x), geluOf(x.y), geluOf(x.z), geluOf(x.w));
}
`;

/** The vector of the products: `gelu(max(0, gate - cut)) * up`. */
function cutGates(
  shape: LayerShape,
  octets: Octets,
  sums: WorkgroupSums,
  cutoff: number,
): string {
  const gates = gateQuads(shape);
  return `${octets.ids.map((id) => `  var up${id} = vec4f();`).join("\n")}
${
    octets.eachQuad((q, x, id) =>
      `  { let at = ${activatedQuad(shape.intermediate, q)};
    ${x} = expanded[${gates}u + at]; up${id} = expanded[${
        gates + shape.intermediate / 4
      }u + at]; }`
    )
  }
${cutLines(shape, octets.threads, sums, cutoff)}
${octets.eachQuad((_, x, id) => `  ${x} = ${cutQuad(x, `up${id}`)};`)}`;
}

/** Quads before the gates. */
function gateQuads(shape: LayerShape): number {
  return expandedPlaces(shape, gateGroups(shape)).activated / 4;
}

function cutQuad(gate: string, up: string): string {
  return `geluOfQuad(aboveNothing(${gate} - cut)) * ${up}`;
}

/** Lines that give `cut`. */
function cutLines(
  shape: LayerShape,
  threads: number,
  sums: WorkgroupSums,
  cutoff: number,
): string {
  const { intermediate } = shape;
  const pairs = gatePairs(shape);
  const parts = gateGroups(shape);
  const { statistics } = expandedPlaces(shape, parts);
  const own = range(Math.ceil(parts / threads));
  return `  var gateSum = 0.0;
${
    own.map((i) =>
      `  var part${i} = vec2f(); var count${i} = 0.0;
  { let at = thread + ${i * threads}u;
    if (at < ${parts}u) {
      part${i} = expanded[${statistics / 4}u + at].xy;
      count${i} = f32(min(${pairs}u, ${intermediate}u - at * ${pairs}u));
      gateSum += count${i} * part${i}.x;
    } }`
    ).join("\n")
  }
${sums.lines([["gates", "gateSum"]])}
  let mean = gates / ${float(intermediate)};
  var gateSquare = 0.0;
${
    own.map((i) =>
      `  { let distance = part${i}.x - mean;
    gateSquare += part${i}.y + count${i} * distance * distance; }`
    ).join("\n")
  }
${sums.lines([["gateSquares", "gateSquare"]])}
  let cut = mean + ${float(cutoff)} * sqrt(gateSquares / ${
    float(intermediate)
  });`;
}
