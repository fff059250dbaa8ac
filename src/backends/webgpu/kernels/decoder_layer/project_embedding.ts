import type { WeightFormat } from "../../../../core/dtype.ts";
import { BINDING_ALIGNMENT } from "../../flags.ts";
import { type TableQuads, tableQuadWgsl } from "../embedding.ts";
import {
  type KernelBinding,
  kernelCode,
  quadStore,
  WEIGHT_BINDINGS,
} from "./kernel.ts";
import {
  costOf,
  type LayerKernel,
  type MatrixPlace,
  threadsFor,
} from "./layer_shape.ts";
import { Octets } from "./products.ts";
import { chooseMatrix, chosenProducts } from "./row_share.ts";
import { shareProjections, type StreamsShape } from "./streams_shape.ts";

/** Sizes of {@link projectEmbeddingKernel}. */
export interface EmbedShape extends StreamsShape {
  /** `[L * P, D]` */
  readonly perLayer: MatrixPlace;
}

/** A table of which the kernel takes the row of the chosen token. */
export interface ChosenTable {
  readonly format: WeightFormat;
  /** Rows, V. */
  readonly rows: number;
  readonly scale: number;
}

/** Tables of embeddings, `[V, D]`, and of what layers learn of a token, `[V, L * P]`. */
export type ChosenTables = Readonly<
  Record<"embedding" | "perLayer", ChosenTable>
>;

/** Elements before each part of what the kernel writes, and of all. */
export interface EmbedPlaces {
  readonly perLayer: number;
  readonly tableRow: number;
  readonly end: number;
}

/** Where the parts lie: behind the streams, at places that kernels can bind. */
export function embedPlaces(
  { streams, hidden, perLayer }: EmbedShape,
): EmbedPlaces {
  const step = BINDING_ALIGNMENT / Float32Array.BYTES_PER_ELEMENT;
  const after = (elements: number) => Math.ceil(elements / step) * step;
  const first = after(streams * hidden);
  const second = after(first + perLayer.rows);
  return { perLayer: first, tableRow: second, end: second + perLayer.rows };
}

/**
 * WGSL of the kernel before the layers: `embedding` `[D]` meets the projections of
 * all streams but the first, and those for the layers. Writes `projected` as
 * {@link embedPlaces} has it: the embedding and its projections `[A, D]`, raw, and
 * `[L * P]`.
 *
 * With `tables` the embedding is that of the token with id `ids[params.first]`,
 * which the device has chosen, and its row of the other table is left, too.
 *
 * The embedding stays in floats, as in a `matmul` of one row.
 */
export function projectEmbeddingKernel(
  shape: EmbedShape,
  tables?: ChosenTables,
): LayerKernel {
  const { hidden, projections, perLayer } = shape;
  const subgroups = { ...shape.subgroups, packedDots: false };
  const threads = threadsFor(hidden);
  const places = embedPlaces(shape);
  const share = shareProjections(shape, hidden, [
    { matrix: perLayer, output: places.perLayer },
  ]);
  const octets = new Octets("d", hidden, threads, threads);
  const products = chosenProducts(share, octets, subgroups);
  const source = tables ? chosenSource(shape, tables) : GIVEN;
  return {
    label: tables ? "embedStreams lookUp project" : "embedStreams project",
    groups: share.groups,
    cost: costOf([...projections, perLayer]),
    ...kernelCode(subgroups, {
      threads,
      bindings: [
        ...source.bindings,
        ...WEIGHT_BINDINGS,
        { name: "projected", element: "f32", writes: true },
      ],
      ...(tables && { params: ["first"] }),
      declarations: [
        source.declaration,
        quadStore("projected"),
        products.declaration,
      ],
      body: [
        chooseMatrix(share),
        octets.declare(),
        products.before,
        source.before,
        octets.eachQuad((q, x) => `  ${x} = ${source.quad(q)};`),
        writeShares(hidden, threads, share.groups, {
          first: 0,
          quad: source.quad,
        }),
        source.tableRow
          ? writeShares(perLayer.rows, threads, share.groups, {
            first: places.tableRow,
            quad: source.tableRow,
          })
          : "",
        products.after,
      ],
    }),
  };
}

/** Where the kernel finds the embedding. */
interface EmbeddingSource {
  readonly bindings: readonly KernelBinding[];
  readonly declaration: string;
  readonly before: string;
  /** Its quad `q`, as WGSL. */
  readonly quad: (q: string) => string;
  /** The same of the row of the other table. */
  readonly tableRow?: (q: string) => string;
}

const GIVEN: EmbeddingSource = {
  bindings: [{ name: "embedding", element: "vec4f" }],
  declaration: "",
  before: "",
  quad: (q) => `embedding[${q}]`,
};

function chosenSource(
  { hidden, perLayer }: EmbedShape,
  tables: ChosenTables,
): EmbeddingSource {
  const embedding = tableQuads("embedding", hidden, tables.embedding);
  const other = tableQuads("perLayer", perLayer.rows, tables.perLayer);
  return {
    bindings: [
      ...embedding.bindings,
      ...other.bindings,
      { name: "ids", element: "f32" },
    ],
    declaration: `${embedding.functions}\n${other.functions}`,
    before: "  let id = u32(max(ids[params.first], 0.0));",
    quad: embedding.quad,
    tableRow: other.quad,
  };
}

function tableQuads(
  name: string,
  width: number,
  { format, rows, scale }: ChosenTable,
): TableQuads & Pick<EmbeddingSource, "quad"> {
  return {
    ...tableQuadWgsl(name, { format, width, scale }),
    quad: (q) => `${name}Quad(min(id, ${rows - 1}u), ${q})`,
  };
}

/** Lines with which the threads of all workgroups write `count` elements. */
function writeShares(
  count: number,
  threads: number,
  groups: number,
  { first, quad }: {
    readonly first: number;
    readonly quad: (q: string) => string;
  },
): string {
  const quads = count / 4;
  return `  for (var q = group.x * ${threads}u + thread; q < ${quads}u; q += ${
    groups * threads
  }u) {
    storeQuad(${first / 4}u + q, ${quad("q")});
  }`;
}
