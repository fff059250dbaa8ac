import { mathWgsl } from "../math.ts";
import { gatePairs } from "./gate_up.ts";
import { kernelWgsl, WEIGHT_BINDINGS, WorkgroupSums } from "./kernel.ts";
import {
  costOf,
  float,
  type LayerKernel,
  type LayerShape,
  range,
  rowsFor,
  threadsFor,
} from "./layer_shape.ts";
import { Octets, oneMatrix, RowProducts } from "./products.ts";

/** Workgroups that are wanted, and most rows of one. */
const GROUPS = 256;
const MOST_ROWS = 8;

/**
 * WGSL of a layer's fifth kernel, the down projection: `activated` and
 * `gateStatistics` as gate_up.ts leaves them, writes `feedforward` `[D]`.
 *
 * In sparse layers every workgroup cuts the gates at the Gaussian top-k: the mean
 * and deviation of all follow from those of the parts.
 */
export function downKernel(shape: LayerShape): LayerKernel {
  const { hidden, intermediate, subgroups, cutoff } = shape;
  const threads = threadsFor(intermediate);
  const rows = rowsFor(hidden, GROUPS, MOST_ROWS);
  const octets = new Octets("f", intermediate, threads);
  const products = new RowProducts({
    octets,
    subgroups,
    rows,
    ...oneMatrix(shape.downProj, "first"),
  });
  const sums = new WorkgroupSums(subgroups, threads);
  const isSparse = cutoff !== undefined;
  return {
    label: `decoderLayer down ${isSparse ? "sparse" : "dense"}`,
    groups: Math.ceil(hidden / rows),
    cost: costOf([shape.downProj]),
    code: kernelWgsl(subgroups, {
      threads,
      bindings: [
        { name: "activated", element: "vec4f" },
        ...(isSparse ? [{ name: "gateStatistics", element: "vec2f" }] : []),
        ...WEIGHT_BINDINGS,
        { name: "feedforward", element: "f32", writes: true },
      ],
      body: [
        `  let first = group.x * ${rows}u;`,
        octets.declare(),
        products.before(),
        isSparse
          ? cutGates(shape, octets, sums, cutoff)
          : octets.eachQuad((q, x) => `  ${x} = activated[${q}];`),
        products.after(),
        `  if (thread < ${rows}u && first + thread < ${hidden}u) {
    feedforward[first + thread] = fTotal(thread);
  }`,
      ],
      declarations: [
        isSparse ? mathWgsl + geluOfQuad : "",
        sums.declaration(),
        products.declaration(),
      ],
    }),
  };
}

const geluOfQuad = `
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
  const { intermediate } = shape;
  const pairs = gatePairs(shape);
  const parts = Math.ceil(intermediate / pairs);
  const { threads } = octets;
  const own = range(Math.ceil(parts / threads));
  return `${octets.ids.map((id) => `  var up${id} = vec4f();`).join("\n")}
${
    octets.eachQuad((q, x, id) =>
      `  ${x} = activated[${q}]; up${id} = activated[${
        intermediate / 4
      }u + ${q}];`
    )
  }
  var gateSum = 0.0;
${
    own.map((i) =>
      `  var part${i} = vec2f(); var count${i} = 0.0;
  { let at = thread + ${i * threads}u;
    if (at < ${parts}u) {
      part${i} = gateStatistics[at];
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
  });
${
    octets.eachQuad((_, x, id) =>
      `  ${x} = geluOfQuad(max(vec4f(), ${x} - cut)) * up${id};`
    )
  }`;
}
