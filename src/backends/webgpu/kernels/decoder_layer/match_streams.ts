import { kernelCode, WorkgroupSums } from "./kernel.ts";
import { float, type LayerKernel, threadsFor } from "./layer_shape.ts";
import { Octets } from "./products.ts";
import type { StreamsShape } from "./streams_shape.ts";

/**
 * WGSL that gives all streams the magnitude of the first, where no layer does it:
 * `unmatched` and `streams` `[A, D]`. A workgroup a stream.
 */
export function matchStreamsKernel(shape: StreamsShape): LayerKernel {
  const { hidden, streams, subgroups, magnitudeEps } = shape;
  const threads = threadsFor(hidden);
  const octets = new Octets("d", hidden, threads, threads);
  const sums = new WorkgroupSums(subgroups, threads);
  const quads = hidden / 4;
  const mean = (squares: string) => `${squares} / ${float(hidden)}`;
  const body = [
    octets.declare(),
    "  var wanted = 0.0; var found = 0.0;",
    octets.eachQuad((q, x) =>
      `  { let first = unmatched[${q}];
    wanted += dot(first, first);
    ${x} = unmatched[group.x * ${quads}u + ${q}];
    found += dot(${x}, ${x}); }`
    ),
    sums.lines([["wantedSquares", "wanted"], ["foundSquares", "found"]]),
    `  let factor = select(sqrt(${mean("wantedSquares")}) /
    sqrt(max(${mean("foundSquares")}, ${
      float(magnitudeEps)
    })), 1.0, group.x == 0u);`,
    octets.eachQuad((q, x) =>
      `  streams[group.x * ${quads}u + ${q}] = ${x} * factor;`
    ),
  ];
  return {
    label: "embedStreams match",
    groups: streams,
    cost: streams * hidden,
    ...kernelCode(subgroups, {
      threads,
      bindings: [
        { name: "unmatched", element: "vec4f" },
        { name: "streams", element: "vec4f", writes: true },
      ],
      declarations: [sums.declaration()],
      body,
    }),
  };
}
