import { kernelCode, WEIGHT_BINDINGS, WorkgroupSums } from "./kernel.ts";
import { costOf, float, type LayerKernel, threadsFor } from "./layer_shape.ts";
import { leftPlaces } from "./left_places.ts";
import { Octets } from "./products.ts";
import { chooseMatrix, chosenProducts } from "./row_share.ts";
import { shareProjections, type StreamsShape } from "./streams_shape.ts";

/**
 * WGSL of the first kernel after the layers: each of the `streams` `[A, D]` but
 * the first meets its projection. With `pending` the last layer left an addend behind
 * them (`leftPlaces`), which is normed and goes into them. Writes `projected`
 * `[A - 1, D]`, raw.
 */
export function unprojectStreamsKernel(
  shape: StreamsShape,
  pending: boolean,
): LayerKernel {
  const { hidden, subgroups, projections } = shape;
  const threads = threadsFor(hidden);
  const share = shareProjections(shape);
  const octets = new Octets("d", hidden, threads, threads);
  const sums = new WorkgroupSums(subgroups, threads);
  const products = chosenProducts(share, octets, subgroups);
  const body = [
    chooseMatrix(share),
    octets.declare(),
    products.before,
    octets.eachQuad((q, x) =>
      `  ${x} = streams[(firstOutput + ${hidden}u) / 4u + ${q}];`
    ),
    pending ? addAddend(shape, octets, sums) : "",
    products.after,
  ];
  return {
    label: "mergeStreams project",
    groups: share.groups,
    cost: costOf(projections),
    ...kernelCode(subgroups, {
      threads,
      bindings: [
        { name: "streams", element: "vec4f" },
        ...WEIGHT_BINDINGS,
        { name: "projected", element: "f32", writes: true },
      ],
      declarations: [sums.declaration(), products.declaration],
      body,
    }),
  };
}

function addAddend(
  { streams, hidden, normEps }: StreamsShape,
  octets: Octets,
  sums: WorkgroupSums,
): string {
  const { addend, weighted } = leftPlaces({ streams, hidden });
  const added = octets.eachQuad((q, _, id) =>
    `  { let added = streams[${
      addend / 4
    }u + ${q}]; square += dot(added, added); }
  added${id} = streams[${weighted / 4}u + ${q}];`
  );
  const declared = octets.ids.map((id) => `  var added${id} = vec4f();`);
  return `${declared.join("\n")}
  var square = 0.0;
${added}
${sums.lines([["squares", "square"]])}
  let factor = inverseSqrt(squares / ${float(hidden)} + ${float(normEps)});
${octets.eachQuad((_, x, id) => `  ${x} += added${id} * factor;`)}`;
}
