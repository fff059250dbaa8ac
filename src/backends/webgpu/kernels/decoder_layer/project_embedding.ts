import { kernelWgsl, WEIGHT_BINDINGS } from "./kernel.ts";
import { costOf, type LayerKernel, threadsFor } from "./layer_shape.ts";
import { Octets } from "./products.ts";
import { chooseMatrix, chosenProducts } from "./row_share.ts";
import { shareProjections, type StreamsShape } from "./streams_shape.ts";

/**
 * WGSL of the first kernel before the layers: `embedding` `[D]` meets the
 * projections of all streams but the first. Writes `projected` `[A - 1, D]`, raw.
 */
export function projectEmbeddingKernel(shape: StreamsShape): LayerKernel {
  const { hidden, subgroups, projections } = shape;
  const threads = threadsFor(hidden);
  const share = shareProjections(shape);
  const octets = new Octets("d", hidden, threads, threads);
  const products = chosenProducts(share, octets, subgroups);
  return {
    label: "embedStreams project",
    groups: share.groups,
    cost: costOf(projections),
    code: kernelWgsl(subgroups, {
      threads,
      bindings: [
        { name: "embedding", element: "vec4f" },
        ...WEIGHT_BINDINGS,
        { name: "projected", element: "f32", writes: true },
      ],
      declarations: [products.declaration],
      body: [
        chooseMatrix(share),
        octets.declare(),
        products.before,
        octets.eachQuad((q, x) => `  ${x} = embedding[${q}];`),
        products.after,
      ],
    }),
  };
}
