import type { SubgroupFeatures } from "../../features.ts";
import { kernelCode, WorkgroupSums } from "./kernel.ts";
import { float, type LayerKernel, threadsFor } from "./layer_shape.ts";
import { leftPlaces } from "./left_places.ts";
import { Octets } from "./products.ts";

/** Sizes of {@link finishKernel}. */
export interface FinishShape {
  readonly subgroups: SubgroupFeatures;
  readonly streams: number;
  readonly hidden: number;
  readonly eps: number;
}

/**
 * WGSL that ends a layer where no other layer follows: the addend, normed, joins all
 * streams but the first, `left` as per_layer_projection.ts leaves them. Writes
 * `finished` `[A, D]`, a workgroup a stream.
 */
export function finishKernel(
  { subgroups, streams, hidden, eps }: FinishShape,
): LayerKernel {
  const threads = threadsFor(hidden);
  const { addend, weighted } = leftPlaces({ streams, hidden });
  const octets = new Octets("d", hidden, threads, threads);
  const sums = new WorkgroupSums(subgroups, threads);
  return {
    label: "decoderLayer finish",
    groups: streams,
    cost: streams * hidden,
    ...kernelCode(subgroups, {
      threads,
      bindings: [
        { name: "left", element: "vec4f" },
        { name: "finished", element: "vec4f", writes: true },
      ],
      body: [
        octets.declare(),
        ...octets.ids.map((id) => `  var stream${id} = vec4f();`),
        "  var square = 0.0;",
        octets.eachQuad((q, x, id) =>
          `  stream${id} = left[group.x * ${hidden / 4}u + ${q}];
  ${x} = left[${addend / 4}u + ${q}];
  square += dot(${x}, ${x});`
        ),
        sums.lines([["squares", "square"]]),
        `  let factor = select(0.0, inverseSqrt(squares / ${float(hidden)} + ${
          float(eps)
        }), group.x > 0u);`,
        octets.eachQuad((q, _, id) =>
          `  finished[group.x * ${hidden / 4}u + ${q}] = stream${id} + left[${
            weighted / 4
          }u + ${q}] * factor;`
        ),
      ],
      declarations: [sums.declaration()],
    }),
  };
}
