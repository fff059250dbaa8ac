// The streams in a layer's first kernel: predicted, and the active one normed.
import type { WorkgroupSums } from "./kernel.ts";
import { float, type LayerShape, range } from "./layer_shape.ts";
import type { Octets } from "./products.ts";

/** The thread's quads of all streams, and of the addend. */
export function loadStreams(
  { streams, hidden }: LayerShape,
  octets: Octets,
  pending: boolean,
): string {
  const names = [
    ...range(streams).map((
      j,
    ) => [`stream${j}`, `streams[${j * hidden / 4}u + `]),
    ...(pending ? [["added", "addend["]] : []),
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

/** Coefficients of the prediction, `[A, A]` in workgroup memory, from the router. */
export function coefficients(
  shape: LayerShape,
  octets: Octets,
  sums: WorkgroupSums,
  pending: boolean,
): string {
  const { streams, hidden, eps } = shape;
  const count = streams ** 2;
  const routed = range(streams);
  const weights = routed.map((a) =>
    `bitcast<f32>(words[${shape.predictionCoefs + a}u + thread * ${streams}u])`
  );
  const dots = routed.map((m) =>
    `    routed${m} += dot(routedX, vectors[${
      shape.router.values / 4 + m * hidden / 4
    }u + `
  );
  return `  var square = 0.0; var addedSquare = 0.0;
${routed.map((m) => `  var routed${m} = 0.0;`).join("\n")}
${
    octets.eachQuad((q, _, id) =>
      `  { let routedX = stream0${id} * vectors[${shape.routerNorm}u + ${q}];
    square += dot(stream0${id}, stream0${id});
${dots.map((dot) => `${dot}${q}]);`).join("\n")} }${
        pending ? `\n  addedSquare += dot(added${id}, added${id});` : ""
      }`
    )
  }
${
    sums.lines([
      ["squares", "square"],
      ...(pending ? [["addedSquares", "addedSquare"]] as const : []),
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
  if (thread < ${count}u) {
    coefs[thread] = ${
    weights.map((weight, a) => `modality${a} * ${weight}`).join(" + ")
  };
  }
  workgroupBarrier();`;
}

/** The active stream, predicted and normed: the vector of the products. */
export function predictActive(
  { streams, hidden, eps, inputNorm }: LayerShape,
  octets: Octets,
  sums: WorkgroupSums,
  pending: boolean,
): string {
  const others = range(streams).slice(1);
  const add = pending
    ? `  let addedFactor = inverseSqrt(addedSquares / ${float(hidden)} + ${
      float(eps)
    });
${
      octets.eachQuad((q, _, id) =>
        `  added${id} *= addedFactor * addendNorm[${q}];
${others.map((j) => `  stream${j}${id} += added${id};`).join("\n")}`
      )
    }`
    : "";
  return `${add}
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
    octets.eachQuad((q, x, id) =>
      `  active${id} = ${x}; ${x} *= activeFactor * vectors[${inputNorm}u + ${q}];`
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
    state[${q}] = active${id};
${
      range(streams).slice(1).map((i) =>
        `    state[${i * hidden / 4}u + ${q}] = ${predicted(streams, i, id)};`
      ).join("\n")
    }
    state[${streams * hidden / 4}u + ${q}] = ${x};
  }`
  );
}

function predicted(streams: number, i: number, id: string): string {
  const terms = range(streams).map((j) =>
    `coefs[${i * streams + j}] * stream${j}${id}`
  );
  return `stream${i}${id} + ${terms.join(" + ")}`;
}
