import type { SubgroupFeatures } from "../../features.ts";
import { kernelWgsl, WorkgroupSums } from "./kernel.ts";
import { float, type LayerKernel, threadsFor } from "./layer_shape.ts";
import { Octets } from "./products.ts";

/** Sizes of {@link finishKernel}. */
export interface FinishShape {
  readonly subgroups: SubgroupFeatures;
  readonly streams: number;
  readonly hidden: number;
  readonly eps: number;
}

/**
 * WGSL that ends a layer where no other layer follows: `addend` `[D]`, normed with
 * weight `addendNorm`, joins all `streams` `[A, D]` but the first. Writes
 * `finished` `[A, D]`, a workgroup a stream.
 */
export function finishKernel(
  { subgroups, streams, hidden, eps }: FinishShape,
): LayerKernel {
  const threads = threadsFor(hidden);
  const octets = new Octets("d", hidden, threads, threads);
  const sums = new WorkgroupSums(subgroups, threads);
  return {
    label: "decoderLayer finish",
    groups: streams,
    cost: streams * hidden,
    code: kernelWgsl(subgroups, {
      threads,
      bindings: [
        { name: "streams", element: "vec4f" },
        { name: "addend", element: "vec4f" },
        { name: "addendNorm", element: "vec4f" },
        { name: "finished", element: "vec4f", writes: true },
      ],
      body: [
        octets.declare(),
        ...octets.ids.map((id) => `  var stream${id} = vec4f();`),
        "  var square = 0.0;",
        octets.eachQuad((q, x, id) =>
          `  stream${id} = streams[group.x * ${hidden / 4}u + ${q}];
  ${x} = addend[${q}];
  square += dot(${x}, ${x});`
        ),
        sums.lines([["squares", "square"]]),
        `  let factor = select(0.0, inverseSqrt(squares / ${float(hidden)} + ${
          float(eps)
        }), group.x > 0u);`,
        octets.eachQuad((q, x, id) =>
          `  finished[group.x * ${
            hidden / 4
          }u + ${q}] = stream${id} + ${x} * factor * addendNorm[${q}];`
        ),
      ],
      declarations: [sums.declaration()],
    }),
  };
}
