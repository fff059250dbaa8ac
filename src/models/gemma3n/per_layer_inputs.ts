// Per-layer inputs: what each layer learns of a token directly, half from a
// table that stays in its file and half projected from the embedding.
// Transformers' get_per_layer_inputs and project_per_layer_inputs.
import type { Ops, Tensor } from "../../ops/ops.ts";
import type { Gemma3nTextConfig } from "./config.ts";
import type { TextWeights } from "./text_weights.ts";

/** Reads one row of the per-layer embedding table, `[L * P]`. */
export type ReadTableRow = (
  row: number,
  signal?: AbortSignal,
) => Promise<Float32Array>;

/** Rows kept in memory; text repeats itself. */
const CACHED_ROWS = 256;

/** The table `[Vp, L * P]`, read by row: with E2B it has 2 G elements. */
export class PerLayerEmbeddings {
  readonly #read: ReadTableRow;
  readonly #config: Gemma3nTextConfig;
  /** Rows by id, least recently used first. */
  readonly #cache = new Map<number, Float32Array>();

  /** Wraps a reader of rows. */
  constructor(config: Gemma3nTextConfig, read: ReadTableRow) {
    this.#config = config;
    this.#read = read;
  }

  /**
   * Rows of `ids`, times sqrt(P): `[T, L * P]`. Ids beyond the table (the
   * vision and audio vocabularies) use row 0.
   */
  async rows(ids: Int32Array, signal?: AbortSignal): Promise<Float32Array> {
    const { hiddenSizePerLayerInput: P, vocabSizePerLayerInput } = this.#config;
    const width = this.#config.numHiddenLayers * P;
    const scale = Math.fround(Math.sqrt(P));
    const tokens = ids.map((id) => id < vocabSizePerLayerInput ? id : 0);
    const rows = new Map<number, Float32Array>();
    await Promise.all(
      [...new Set(tokens)].map(async (id) =>
        rows.set(id, await this.#row(id, signal))
      ),
    );
    const out = new Float32Array(ids.length * width);
    tokens.forEach((id, t) => {
      const row = rows.get(id)!;
      for (let i = 0; i < width; i++) out[t * width + i] = row[i]! * scale;
    });
    return out;
  }

  async #row(id: number, signal?: AbortSignal): Promise<Float32Array> {
    const cached = this.#cache.get(id);
    const row = cached ?? await this.#read(id, signal);
    this.#cache.delete(id);
    this.#cache.set(id, row);
    if (this.#cache.size > CACHED_ROWS) {
      this.#cache.delete(this.#cache.keys().next().value!);
    }
    return row;
  }
}

/** Mixes table rows `[T, L * P]` with what the embeddings `[T, D]` project to: `[T, L * P]`. */
export function projectPerLayerInputs(
  ops: Ops,
  w: TextWeights,
  config: Gemma3nTextConfig,
  embeds: Tensor,
  tableRows: Tensor,
): Tensor {
  const T = embeds.shape[0]!;
  const { numHiddenLayers: L, hiddenSizePerLayerInput: P } = config;
  const projected = ops.scale(
    ops.matmul(embeds, w.perLayerModelProjection),
    config.hiddenSize ** -0.5,
  );
  const normed = ops.rmsNorm(
    ops.reshape(projected, [T * L, P]),
    w.perLayerProjectionNorm,
    config.rmsNormEps,
  );
  return ops.addScaled(
    ops.reshape(normed, [T, L * P]),
    tableRows,
    Math.SQRT1_2,
  );
}
