// Choosing tokens where the logits are, and going on from them: ids that stay
// on a device, so that a step needs nothing that the step before it gave.
import type { NoiseKey, TokenSampling } from "../core/random.ts";
import type { Tensor, Weight } from "./ops.ts";

/**
 * Chosen ids of a device. They lie in slots, one id for each row of logits,
 * and outlive steps: a step that was only submitted fills a slot, later ones
 * look its ids up, and the last one reads them all.
 *
 * Which id is chosen is defined by `generation/choice.ts`, which chooses on
 * the host where a device has no `TokenOps`.
 *
 * T rows, V vocabulary, D width of a table.
 */
export interface TokenOps {
  /** Makes room for `rows` ids in each of `slots` slots. Only before `allocate()`. */
  reserve(slots: number, rows: number): void;
  /** Fills a slot with ids of the host, for the step that is recorded and later ones. */
  write(ids: Int32Array, slot: number): void;
  /**
   * Fills a slot with the index of the largest of each row, the first of
   * equals: logits `[T, V]`. -1 where a row has a NaN or nothing above
   * -Infinity.
   */
  argmax(logits: Tensor, slot: number): void;
  /** Whether {@link TokenOps.sample} can sample so. */
  canSample(sampling: TokenSampling): boolean;
  /**
   * Fills a slot with a sample of each row: logits `[T, V]`, a key for each
   * row. -1 as for `argmax()`; -2 where a device's sums are too coarse to tell
   * what the host, with its float64, would choose.
   */
  sample(
    logits: Tensor,
    slot: number,
    keys: readonly NoiseKey[],
    sampling: TokenSampling,
  ): void;
  /**
   * `table[id] * scale` of the first `rows` ids of a slot: matrix `[V, D]` ->
   * `[rows, D]`. An id outside the table gives the nearest row of it.
   */
  embedding(table: Weight, slot: number, rows: number, scale: number): Tensor;
  /** The first `rows` ids of all slots, as numbers: `[slots, rows]`. */
  chosen(rows: number): Tensor;
}
