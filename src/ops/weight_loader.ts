// How models name their weights: each call declares one on the device and
// checks it against the checkpoint; the bytes follow later, in one pass.
import type { Shape } from "../core/shape.ts";
import type { Weight } from "./ops.ts";
import type { WeightKind } from "./device.ts";

/** Options of {@link WeightLoader.weight}. */
export interface WeightOptions {
  /**
   * Applied to every value on its way from the file to the device, for the
   * few parameters that are never used as stored. Needs the kind `vector`.
   */
  readonly map?: ((value: number) => number) | undefined;
  /** Whether a matrix multiplies rows that are mostly zeros, see `WeightSpec`. */
  readonly sparseInput?: boolean | undefined;
  /** Whether most outputs of a matrix meet gates of zero, see `WeightSpec`. */
  readonly sparseOutput?: boolean | undefined;
  /** Whether the device may leave it out, see `WeightSpec`; its values are then not read. */
  readonly optional?: boolean | undefined;
}

/** Turns checkpoint names into weights of a device. */
export interface WeightLoader {
  /**
   * Declares a weight.
   *
   * @throws {CheckpointError} When the checkpoint lacks the name or has
   * another shape or type.
   */
  weight(
    kind: WeightKind,
    name: string,
    shape: Shape,
    options?: WeightOptions,
  ): Weight;
  /** A loader that puts `prefix` before every name. */
  scope(prefix: string): WeightLoader;
}
