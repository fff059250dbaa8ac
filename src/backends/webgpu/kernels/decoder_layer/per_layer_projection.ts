import { kernelCode, quadStore, WEIGHT_BINDINGS } from "./kernel.ts";
import {
  costOf,
  type LayerKernel,
  type LayerShape,
  rowsFor,
  threadsFor,
} from "./layer_shape.ts";
import { correctedPlaces, leftPlaces } from "./left_places.ts";
import { Octets, oneMatrix, RowProducts } from "./products.ts";

/** Workgroups that are wanted, and most rows of one. */
const GROUPS = 128;
const MOST_ROWS = 32;

/**
 * WGSL of a layer's last kernel: `corrected` as correct.ts leaves it, of which
 * `[P]` is projected to the addend `[D]` that the next layer norms and adds. Writes
 * `left` as `leftPlaces` has it, the streams among it, so that the next layer needs
 * no other buffer.
 */
export function perLayerProjectionKernel(shape: LayerShape): LayerKernel {
  const { hidden, perLayer, subgroups, streams, postPerLayerInputNorm } = shape;
  const threads = threadsFor(hidden);
  const rows = rowsFor(hidden, GROUPS, Math.min(MOST_ROWS, threads));
  const groups = Math.ceil(hidden / rows);
  const octets = new Octets("p", perLayer, threads);
  const products = new RowProducts({
    octets,
    subgroups,
    rows,
    ...oneMatrix(shape.perLayerProjection, "first"),
  });
  const { gated } = correctedPlaces(shape);
  const { addend, weighted } = leftPlaces(shape);
  return {
    label: "decoderLayer perLayerProjection",
    groups,
    cost: costOf([shape.perLayerProjection]),
    ...kernelCode(subgroups, {
      threads,
      bindings: [
        { name: "corrected", element: "vec4f" },
        ...WEIGHT_BINDINGS,
        { name: "left", element: "f32", writes: true },
      ],
      body: [
        `  let first = group.x * ${rows}u;`,
        octets.declare(),
        products.before(),
        octets.eachQuad((q, x) => `  ${x} = corrected[${gated / 4}u + ${q}];`),
        copyStreams(streams * hidden / 4, groups * threads, threads),
        `  let own = min(first + thread, ${hidden - 1}u);
  let weight = bitcast<f32>(words[${4 * postPerLayerInputNorm}u + own]);`,
        products.after(),
        `  if (thread < ${rows}u && first + thread < ${hidden}u) {
    let total = pTotal(thread);
    left[${addend}u + own] = total;
    left[${weighted}u + own] = total * weight;
  }`,
      ],
      declarations: [quadStore("left"), products.declaration()],
    }),
  };
}

/** Lines with which all threads together copy so many quads. */
function copyStreams(quads: number, all: number, threads: number): string {
  return `  for (var q = group.x * ${threads}u + thread; q < ${quads}u; q += ${all}u) {
    storeQuad(q, corrected[q]);
  }`;
}
