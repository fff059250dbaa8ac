import { kernelCode, WEIGHT_BINDINGS, WorkgroupSums } from "./kernel.ts";
import { float, type LayerKernel, range, threadsFor } from "./layer_shape.ts";
import { Octets } from "./products.ts";
import type { StreamsShape } from "./streams_shape.ts";

/** Sizes of {@link mergeStreamsKernel}. */
export interface MergeShape extends StreamsShape {
  /** Quads before the weight of the last norm. */
  readonly norm: number;
}

/**
 * WGSL of the second kernel after the layers: `projected` `[A - 1, D]` get the
 * magnitude of the first of the `streams` `[A, D]`; the mean of all is normed with
 * a weight among `vectors`. Writes `hidden` `[D]`. One workgroup: all is little.
 */
export function mergeStreamsKernel(shape: MergeShape): LayerKernel {
  const { hidden, streams, subgroups, normEps, norm } = shape;
  const threads = threadsFor(hidden);
  const octets = new Octets("d", hidden, threads, threads);
  const sums = new WorkgroupSums(subgroups, threads);
  const body = [
    octets.declare(),
    loadStreams(shape, octets),
    meanStream(shape, octets, sums),
    sums.lines([["squares", "square"]]),
    `  let factor = inverseSqrt(squares / ${float(hidden)} + ${
      float(normEps)
    });`,
    octets.eachQuad((q, x) =>
      `  hidden[${q}] = ${x} * factor * vectors[${norm}u + ${q}];`
    ),
  ];
  return {
    label: "mergeStreams match",
    groups: 1,
    cost: streams * hidden,
    ...kernelCode(subgroups, {
      threads,
      bindings: [
        { name: "streams", element: "vec4f" },
        { name: "projected", element: "vec4f" },
        ...WEIGHT_BINDINGS,
        { name: "hidden", element: "vec4f", writes: true },
      ],
      declarations: [sums.declaration()],
      body,
    }),
  };
}

/** The thread's quads of all streams, and sums of their squares. */
function loadStreams(
  { hidden, streams }: StreamsShape,
  octets: Octets,
): string {
  const others = range(streams - 1);
  const loads = octets.eachQuad((q, x, id) =>
    `  ${x} = streams[${q}]; wanted += dot(${x}, ${x});
${
      others.map((i) =>
        `  other${i}${id} = projected[${i * hidden / 4}u + ${q}];
  found${i} += dot(other${i}${id}, other${i}${id});`
      ).join("\n")
    }`
  );
  return `  var wanted = 0.0;
${
    others.flatMap((i) => [
      `  var found${i} = 0.0;`,
      ...octets.ids.map((id) => `  var other${i}${id} = vec4f();`),
    ]).join("\n")
  }
${loads}`;
}

/** The mean of all streams with the magnitude of the first, and its own square. */
function meanStream(
  { hidden, streams, magnitudeEps }: StreamsShape,
  octets: Octets,
  sums: WorkgroupSums,
): string {
  const others = range(streams - 1);
  const mean = (squares: string) => `${squares} / ${float(hidden)}`;
  return `${
    sums.lines([
      ["wantedSquares", "wanted"],
      ...others.map((i) => [`foundSquares${i}`, `found${i}`] as const),
    ])
  }
${
    others.map((i) =>
      `  let factor${i} = sqrt(${mean("wantedSquares")}) / sqrt(max(${
        mean(`foundSquares${i}`)
      }, ${float(magnitudeEps)}));`
    ).join("\n")
  }
  var square = 0.0;
${
    octets.eachQuad((_, x, id) =>
      `  ${x} = (${
        [x, ...others.map((i) => `other${i}${id} * factor${i}`)].join(" + ")
      }) / ${float(streams)};
  square += dot(${x}, ${x});`
    )
  }`;
}
