// The streams in a layer's first kernel: predicted, and the active one normed.
import type { WorkgroupSums } from "./kernel.ts";
import { float, type LayerShape, range } from "./layer_shape.ts";
import { leftPlaces } from "./left_places.ts";
import type { Octets } from "./products.ts";

/** What the streams lack that the layer's first kernel reads. */
export interface StreamsLack {
  /** The addend that the layer before left. */
  readonly pending?: boolean;
  /** The magnitude of the first stream, in all others: they are projections of it. */
  readonly unmatched?: { readonly magnitudeEps: number } | undefined;
}

/** The thread's quads of all streams, and of the addend. */
export function loadStreams(
  { streams, hidden }: LayerShape,
  octets: Octets,
  { pending }: StreamsLack,
): string {
  const { addend, weighted } = leftPlaces({ streams, hidden });
  const names = [
    ...range(streams).map((
      j,
    ) => [`stream${j}`, `streams[${j * hidden / 4}u + `]),
    ...(pending
      ? [
        ["added", `streams[${addend / 4}u + `],
        ["weighted", `streams[${weighted / 4}u + `],
      ]
      : []),
  ] as const;
  const declared = names.flatMap(([name]) =>
    octets.ids.map((id) => `  var ${name}${id} = vec4f();`)
  );
  return `${declared.join("\n")}
${
    octets.eachQuad((q, _, id) =>
      names.map(([name, at]) => `  ${name}${id} = ${at}${q}];`).join("\n")
    )
  }`;
}

/** A thread's part of the router, and weights that no sum has to wait for. */
function routeStreams(
  shape: LayerShape,
  octets: Octets,
  { pending, unmatched }: StreamsLack,
): string {
  const { streams, hidden, router, routerNorm, inputNorm } = shape;
  const routed = range(streams);
  const dots = octets.eachQuad((q, _, id) =>
    `  { let routedX = stream0${id} * vectors[${routerNorm}u + ${q}];
    square += dot(stream0${id}, stream0${id});
${
      routed.map((m) =>
        `    routed${m} += dot(routedX, vectors[${
          router.values / 4 + m * hidden / 4
        }u + ${q}]);`
      ).join("\n")
    } }
  norm${id} = vectors[${inputNorm}u + ${q}];${
      pending ? `\n  addedSquare += dot(added${id}, added${id});` : ""
    }${
      unmatched
        ? routed.slice(1).map((j) =>
          `\n  found${j} += dot(stream${j}${id}, stream${j}${id});`
        ).join("")
        : ""
    }`
  );
  return `  var square = 0.0; var addedSquare = 0.0;
${
    unmatched
      ? routed.slice(1).map((j) => `  var found${j} = 0.0;`).join("\n")
      : ""
  }
${octets.ids.map((id) => `  var norm${id} = vec4f();`).join("\n")}
${
    routed.map((m) => `  var routed${m} = 0.0; var coefWeight${m} = 0.0;`)
      .join("\n")
  }
${dots}
  if (thread < ${streams ** 2}u) {
${
    routed.map((a) =>
      `    coefWeight${a} = bitcast<f32>(words[${
        shape.predictionCoefs + a
      }u + thread * ${streams}u]);`
    ).join("\n")
  }
  }`;
}

/** Coefficients of the prediction, `[A, A]` in workgroup memory, from the router. */
export function coefficients(
  shape: LayerShape,
  octets: Octets,
  sums: WorkgroupSums,
  lack: StreamsLack,
): string {
  const { streams, hidden, eps } = shape;
  const routed = range(streams);
  const { pending, unmatched } = lack;
  return `${routeStreams(shape, octets, lack)}
${
    sums.lines([
      ["squares", "square"],
      ...(pending ? [["addedSquares", "addedSquare"]] as const : []),
      ...(unmatched
        ? routed.slice(1).map((j) => [`found${j}Squares`, `found${j}`] as const)
        : []),
      ...routed.map((m) => [`routedSum${m}`, `routed${m}`] as const),
    ])
  }
  let routerFactor = inverseSqrt(squares / ${float(hidden)} + ${
    float(eps)
  }) / ${float(hidden)};
${
    routed.map((m) =>
      `  let modality${m} = safeTanh(routerFactor * routedSum${m});`
    ).join("\n")
  }
  if (thread < ${streams ** 2}u) {
    coefs[thread] = ${
    routed.map((a) => `modality${a} * coefWeight${a}`).join(" + ")
  };
  }
  workgroupBarrier();`;
}

/** The active stream, predicted and normed: the vector of the products. */
export function predictActive(
  { streams, hidden, eps }: LayerShape,
  octets: Octets,
  sums: WorkgroupSums,
  { pending, unmatched }: StreamsLack,
): string {
  const others = range(streams).slice(1);
  const mean = (squares: string) => `${squares} / ${float(hidden)}`;
  const match = unmatched
    ? `${
      others.map((j) =>
        `  let match${j} = sqrt(${mean("squares")}) / sqrt(max(${
          mean(`found${j}Squares`)
        }, ${float(unmatched.magnitudeEps)}));`
      ).join("\n")
    }
${
      octets.eachQuad((_q, _x, id) =>
        others.map((j) => `  stream${j}${id} *= match${j};`).join("\n")
      )
    }`
    : "";
  const add = pending
    ? `  let addedFactor = inverseSqrt(addedSquares / ${float(hidden)} + ${
      float(eps)
    });
${
      octets.eachQuad((_q, _x, id) =>
        `  weighted${id} *= addedFactor;
${others.map((j) => `  stream${j}${id} += weighted${id};`).join("\n")}`
      )
    }`
    : "";
  return `${match}
${add}
  var activeSquare = 0.0;
${
    octets.eachQuad((_, x, id) =>
      `  ${x} = ${predicted(streams, 0, id)};
  activeSquare += dot(${x}, ${x});`
    )
  }
${sums.lines([["activeSquares", "activeSquare"]])}
  let activeFactor = inverseSqrt(activeSquares / ${float(hidden)} + ${
    float(eps)
  });
${octets.ids.map((id) => `  var active${id} = vec4f();`).join("\n")}
${
    octets.eachQuad((_, x, id) =>
      `  active${id} = ${x}; ${x} *= activeFactor * norm${id};`
    )
  }`;
}

/** Quads of the state that this workgroup writes. */
export function writeSlice(
  { streams, hidden }: LayerShape,
  octets: Octets,
  quads: number,
): string {
  return octets.eachQuad((q, x, id) =>
    `  if (${q} / ${quads}u == group.x) {
    storeQuad(${q}, active${id});
${
      range(streams).slice(1).map((i) =>
        `    storeQuad(${i * hidden / 4}u + ${q}, ${
          predicted(streams, i, id)
        });`
      ).join("\n")
    }
    storeQuad(${streams * hidden / 4}u + ${q}, ${x});
  }`
  );
}

function predicted(streams: number, i: number, id: string): string {
  const terms = range(streams).map((j) =>
    `coefs[${i * streams + j}] * stream${j}${id}`
  );
  return `stream${i}${id} + ${terms.join(" + ")}`;
}
