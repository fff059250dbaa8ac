// Where the parts lie of what a kernel leaves to later ones: all that it writes is
// one buffer, which each of these binds once. Places are elements, all of whole
// quads.
import type { LayerShape } from "./layer_shape.ts";

/** What project.ts leaves: streams, products as they are, and some times a weight. */
export function preparedPlaces(
  { streams, hidden, heads, kvHeads, headDim, rank }: Pick<
    LayerShape,
    "streams" | "hidden" | "heads" | "kvHeads" | "headDim" | "rank"
  >,
) {
  const query = (streams + 1) * hidden; // behind the state, `[A + 1, D]`
  const key = query + heads * headDim;
  const value = key + kvHeads * headDim;
  const laurel = value + kvHeads * headDim;
  // Query and key times the weights of their norms.
  const weightedQuery = laurel + rank;
  const weightedKey = weightedQuery + heads * headDim;
  const end = weightedKey + kvHeads * headDim;
  return { query, key, value, laurel, weightedQuery, weightedKey, end };
}

/** What gate_up.ts leaves: `[D]` that the MLP reads, and its gates. */
export function expandedPlaces(
  { hidden, intermediate, cutoff }: Pick<
    LayerShape,
    "hidden" | "intermediate" | "cutoff"
  >,
  groups: number,
) {
  const isSparse = cutoff !== undefined;
  const activated = hidden;
  const statistics = activated + (isSparse ? 2 : 1) * intermediate;
  // A quad for each workgroup.
  const end = statistics + (isSparse ? 4 * groups : 0);
  return { activated, statistics, end };
}

/** What correct.ts leaves: streams `[A, D]`, then `[P]`. */
export function correctedPlaces(
  { streams, hidden, perLayer }: Pick<
    LayerShape,
    "streams" | "hidden" | "perLayer"
  >,
) {
  const gated = streams * hidden;
  return { gated, end: gated + perLayer };
}

/** What per_layer_projection.ts leaves: streams `[A, D]`, their addend, and that times its weight. */
export function leftPlaces(
  { streams, hidden }: { readonly streams: number; readonly hidden: number },
) {
  const addend = streams * hidden;
  const weighted = addend + hidden;
  return { addend, weighted, end: weighted + hidden };
}
