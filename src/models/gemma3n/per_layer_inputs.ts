// Per-layer inputs: what each layer learns of a token directly, half from a
// table and half projected from the embedding. The table stays in its file,
// but for devices that choose tokens themselves and have room for it.
// Transformers' get_per_layer_inputs and project_per_layer_inputs.
import type { Device } from "../../ops/device.ts";
import type { Ops, Tensor, Weight } from "../../ops/ops.ts";
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
  readonly #weight: Weight | undefined;
  /** Rows by id, least recently used first. */
  readonly #cache = new Map<number, Float32Array>();

  /** Wraps a reader of rows, and the whole table where a device may hold it. */
  constructor(
    config: Gemma3nTextConfig,
    read: ReadTableRow,
    weight: Weight | undefined,
  ) {
    this.#config = config;
    this.#read = read;
    this.#weight = weight;
  }

  /** The table on the device, if it is there. */
  get weight(): Weight | undefined {
    return this.#weight?.leftOut ? undefined : this.#weight;
  }

  /** What rows are multiplied by: sqrt(P). */
  get scale(): number {
    return Math.fround(Math.sqrt(this.#config.hiddenSizePerLayerInput));
  }

  /**
   * Records the rows of `ids`, scaled: `[T, L * P]`; from `rows`, which
   * `read()` gave, where the table is not on the device.
   */
  record(
    device: Device,
    ids: Int32Array,
    rows: Float32Array | undefined,
  ): Tensor {
    if (rows) return device.upload(rows, [ids.length, this.#width]);
    return device.ops.embedding(this.weight!, this.#tokens(ids), this.scale);
  }

  /** Reads the rows of `ids`, scaled: `[T, L * P]`. */
  async read(ids: Int32Array, signal?: AbortSignal): Promise<Float32Array> {
    const { scale } = this;
    const width = this.#width;
    const tokens = this.#tokens(ids);
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

  get #width(): number {
    return this.#config.numHiddenLayers * this.#config.hiddenSizePerLayerInput;
  }

  /** Rows of the table: row 0 for ids beyond it, the vision and audio vocabularies. */
  #tokens(ids: Int32Array): Int32Array {
    const { vocabSizePerLayerInput } = this.#config;
    return ids.map((id) => id < vocabSizePerLayerInput ? id : 0);
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

/** Mixes table rows `[T, L * P]` with what the embeddings project to, `[T, L * P]`. */
export function mixPerLayerInputs(
  ops: Ops,
  w: TextWeights,
  config: Gemma3nTextConfig,
  projected: Tensor,
  tableRows: Tensor,
): Tensor {
  const T = projected.shape[0]!;
  const { numHiddenLayers: L, hiddenSizePerLayerInput: P } = config;
  // Nothing of another shape in between: devices join such operations.
  const shape = [T * L, P];
  const scaled = ops.scale(
    ops.reshape(projected, shape),
    config.hiddenSize ** -0.5,
  );
  const mixed = ops.addScaled(
    ops.rmsNorm(scaled, w.perLayerProjectionNorm, config.rmsNormEps),
    ops.reshape(tableRows, shape),
    Math.SQRT1_2,
  );
  return ops.reshape(mixed, [T, L * P]);
}
