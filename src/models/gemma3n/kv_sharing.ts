// Which layer's keys and values each decoder layer reads.
import type { Gemma3nTextConfig } from "./config.ts";

/**
 * Index of the layer whose cache each layer uses: its own for the first
 * layers, the last owning layer of the same type for the `numKvSharedLayers`
 * at the end (Transformers' `kv_shared_layer_index`).
 *
 * With 10 layers, every fifth full, and 5 shared: `[0,1,2,3,4,3,3,3,3,4]`.
 */
export function kvLayerIndices(
  config: Pick<
    Gemma3nTextConfig,
    "layerTypes" | "numHiddenLayers" | "numKvSharedLayers"
  >,
): number[] {
  const owning = numKvOwningLayers(config);
  const owned = config.layerTypes.slice(0, owning);
  return config.layerTypes.map((type, i) =>
    i < owning ? i : owned.lastIndexOf(type)
  );
}

/**
 * Number of layers at the start that own a cache. A model whose layers would
 * all share owns them all, as in Transformers.
 */
export function numKvOwningLayers(
  config: Pick<Gemma3nTextConfig, "numHiddenLayers" | "numKvSharedLayers">,
): number {
  const first = config.numHiddenLayers - config.numKvSharedLayers;
  return first > 0 ? first : config.numHiddenLayers;
}
