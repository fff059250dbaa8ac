import { mathWgsl } from "../math.ts";
import {
  kernelCode,
  quadStore,
  WEIGHT_BINDINGS,
  WorkgroupSums,
} from "./kernel.ts";
import {
  costOf,
  float,
  type LayerKernel,
  type LayerShape,
  range,
  rowsFor,
  threadsFor,
} from "./layer_shape.ts";
import { correctedPlaces } from "./left_places.ts";
import { Octets, oneMatrix, RowProducts } from "./products.ts";

/** Workgroups that are wanted, and most rows of one. */
const GROUPS = 64;
const MOST_ROWS = 8;

/**
 * WGSL of a layer's sixth kernel: the MLP's result corrects all streams, and the
 * active one gates the layer's own embedding of the token.
 *
 * `feedforward` `[D]` as down.ts leaves it, `expanded` as gate_up.ts does, `state`
 * `[A + 1, D]` as project.ts does, `perLayerInput` `[P]`. Writes `corrected` as `correctedPlaces` has it: streams
 * `[A, D]`, and what the gate lets through of the embedding, `[P]`.
 */
export function correctKernel(shape: LayerShape): LayerKernel {
  const { hidden, perLayer, subgroups } = shape;
  const threads = threadsFor(hidden);
  const rows = rowsFor(perLayer, GROUPS, MOST_ROWS);
  const groups = Math.ceil(perLayer / rows);
  const octets = new Octets("d", hidden, threads, threads);
  const products = new RowProducts({
    octets,
    subgroups,
    rows,
    ...oneMatrix(shape.perLayerGate, "first"),
  });
  const sums = new WorkgroupSums(subgroups, threads);
  const { gated } = correctedPlaces(shape);
  return {
    label: "decoderLayer correct",
    groups,
    cost: costOf([shape.perLayerGate]),
    ...kernelCode(subgroups, {
      threads,
      bindings: [
        { name: "feedforward", element: "vec4f" },
        { name: "expanded", element: "vec4f" },
        { name: "state", element: "vec4f" },
        { name: "perLayerInput", element: "f32" },
        ...WEIGHT_BINDINGS,
        { name: "corrected", element: "f32", writes: true },
      ],
      body: [
        `  let first = group.x * ${rows}u;`,
        octets.declare(),
        products.before(),
        activate(shape, octets, sums),
        modalities(shape, octets, sums),
        correctActive(shape, octets, Math.ceil(hidden / 4 / groups)),
        products.after(),
        `  if (thread < ${rows}u && first + thread < ${perLayer}u) {
    corrected[${gated}u + first + thread] = geluOf(dTotal(thread)) * perLayerInput[first + thread];
  }`,
      ],
      declarations: [
        mathWgsl,
        quadStore("corrected"),
        sums.declaration(),
        products.declaration(),
      ],
    }),
  };
}

/** `activated = mid + norm(feedforward)`, and weights that no sum has to wait for. */
function activate(
  shape: LayerShape,
  octets: Octets,
  sums: WorkgroupSums,
): string {
  const { hidden, streams, eps, postFeedforwardNorm } = shape;
  const all = range(streams);
  const routers = all.map((m) => `router${m}`);
  const names = ["activated", "middle", "active", "scale", ...routers];
  return `${
    names.flatMap((name) =>
      octets.ids.map((id) => `  var ${name}${id} = vec4f();`)
    )
      .join("\n")
  }
  var feedforwardSquare = 0.0;
${
    octets.eachQuad((q, _, id) =>
      `  activated${id} = feedforward[${q}]; middle${id} = expanded[${q}]; active${id} = state[${q}];
  feedforwardSquare += dot(activated${id}, activated${id});
  activated${id} *= vectors[${postFeedforwardNorm}u + ${q}];
${
        shape.correctScale
          ? `  scale${id} = vectors[${shape.correctOutputScale}u + ${q}];`
          : ""
      }
  { let routerNorm = vectors[${shape.routerNorm}u + ${q}];
${
        all.map((m) =>
          `  router${m}${id} = routerNorm * vectors[${
            shape.router.values / 4 + m * hidden / 4
          }u + ${q}];`
        ).join("\n")
      } }`
    )
  }
${
    range(streams ** 2).map((i) =>
      `  let correction${i} = bitcast<f32>(words[${
        shape.correctionCoefs + i
      }u]);`
    ).join("\n")
  }
${sums.lines([["feedforwardSquares", "feedforwardSquare"]])}
  let feedforwardFactor = inverseSqrt(feedforwardSquares / ${float(hidden)} + ${
    float(eps)
  });
${
    octets.eachQuad((_q, _x, id) =>
      `  activated${id} = middle${id} + activated${id} * feedforwardFactor;`
    )
  }`;
}

/** The router over what was activated: `coef0` and on, one a stream, with their 1. */
function modalities(
  shape: LayerShape,
  octets: Octets,
  sums: WorkgroupSums,
): string {
  const { streams, hidden, eps } = shape;
  const all = range(streams);
  return `  var square = 0.0;
${all.map((m) => `  var routed${m} = 0.0;`).join("\n")}
${
    octets.eachQuad((_q, _x, id) =>
      `  square += dot(activated${id}, activated${id});
${
        all.map((m) => `  routed${m} += dot(activated${id}, router${m}${id});`)
          .join("\n")
      }`
    )
  }
${
    sums.lines([
      ["squares", "square"],
      ...all.map((m) => [`routedSum${m}`, `routed${m}`] as const),
    ])
  }
  let routerFactor = inverseSqrt(squares / ${float(hidden)} + ${
    float(eps)
  }) / ${float(hidden)};
${
    all.map((m) =>
      `  let modality${m} = safeTanh(routerFactor * routedSum${m});`
    ).join("\n")
  }
${
    all.map((i) =>
      `  let coef${i} = 1.0 + ${
        all.map((m) => `modality${m} * correction${i * streams + m}`).join(
          " + ",
        )
      };`
    ).join("\n")
  }`;
}

/** The vector of the products; each workgroup writes a part of the streams. */
function correctActive(
  { streams, hidden, correctScale }: LayerShape,
  octets: Octets,
  quads: number,
): string {
  return octets.eachQuad((q, x, id) =>
    `  let innovation${id} = activated${id} - active${id};
  ${x} = active${id} + innovation${id} * coef0;
  if (${q} / ${quads}u == group.x) {
    storeQuad(${q}, ${x});
${
      range(streams).slice(1).map((i) => {
        const at = `${i * hidden / 4}u + ${q}`;
        return `    storeQuad(${at}, state[${at}] + innovation${id} * coef${i});`;
      }).join("\n")
    }
  }${correctScale ? `\n  ${x} *= scale${id};` : ""}`
  );
}
