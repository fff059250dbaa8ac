import { kernelWgsl, WEIGHT_BINDINGS } from "./kernel.ts";
import {
  costOf,
  type LayerKernel,
  type LayerShape,
  rowsFor,
  threadsFor,
} from "./layer_shape.ts";
import { Octets, oneMatrix, RowProducts } from "./products.ts";

/** Workgroups that are wanted, and most rows of one. */
const GROUPS = 128;
const MOST_ROWS = 32;

/**
 * WGSL of a layer's last kernel: `gated` `[P]` as correct.ts leaves it is
 * projected to `addend` `[D]`, which the next layer norms and adds.
 */
export function perLayerProjectionKernel(shape: LayerShape): LayerKernel {
  const { hidden, perLayer, subgroups } = shape;
  const threads = threadsFor(hidden);
  const rows = rowsFor(hidden, GROUPS, Math.min(MOST_ROWS, threads));
  const octets = new Octets("p", perLayer, threads);
  const products = new RowProducts({
    octets,
    subgroups,
    rows,
    ...oneMatrix(shape.perLayerProjection, "first"),
  });
  return {
    label: "decoderLayer perLayerProjection",
    groups: Math.ceil(hidden / rows),
    cost: costOf([shape.perLayerProjection]),
    code: kernelWgsl(subgroups, {
      threads,
      bindings: [
        { name: "gated", element: "vec4f" },
        ...WEIGHT_BINDINGS,
        { name: "addend", element: "f32", writes: true },
      ],
      body: [
        `  let first = group.x * ${rows}u;`,
        octets.declare(),
        products.before(),
        octets.eachQuad((q, x) => `  ${x} = gated[${q}];`),
        products.after(),
        `  if (thread < ${rows}u && first + thread < ${hidden}u) {
    addend[first + thread] = pTotal(thread);
  }`,
      ],
      declarations: [products.declaration()],
    }),
  };
}
