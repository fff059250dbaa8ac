// A device: memory for weights, caches and activations, a queue of recorded
// operations, and the Ops that record them.
import type { BlockDtype, StorageDtype, WeightFormat } from "../core/dtype.ts";
import type { Shape } from "../core/shape.ts";
import type { KvSpec, KvStore, Ops, Tensor, Weight } from "./ops.ts";
import type { TokenOps } from "./token_ops.ts";

/** Values along a row that share a scale. */
const QUANTIZED_GROUP = 32;

/** Name of a kind of device. */
export type DeviceName = "reference" | "wasm" | "webgpu";

/**
 * What a weight is for; decides how a device lays it out.
 *
 * - `matrix` `[F, K]`: right side of `matmul`, table of `embedding`
 * - `vector` `[D]`: norms and scales
 * - `conv2d` `[O, C, KY, KX]` and `depthwiseConv2d` `[C, 1, KY, KX]` as in
 *   the checkpoint; `depthwiseConv1d` `[D, 1, K]`
 */
export type WeightKind =
  | "matrix"
  | "vector"
  | "conv2d"
  | "depthwiseConv2d"
  | "depthwiseConv1d";

/** What a device must know to make room for a weight. */
export interface WeightSpec {
  /** Name in the checkpoint, for messages. */
  readonly name: string;
  readonly shape: Shape;
  readonly kind: WeightKind;
  /**
   * How its values are kept; f32 unless given. Others need a `matrix` whose
   * rows are whole groups of 32, or a `conv2d` whose channels are: the values of
   * a place of the filter for 32 channels share a scale ({@link canQuantize}).
   * A device may keep filters of several places as f32.
   */
  readonly format?: WeightFormat | undefined;
  /**
   * Of a matrix: whether the rows it multiplies are mostly zeros. A device may
   * lay it out so that columns for zeros need not be read.
   */
  readonly sparseInput?: boolean | undefined;
  /**
   * Of a matrix: whether most of its outputs meet gates of zero in
   * `gatedMatmul`. A device may lay it out so that those need not be read.
   */
  readonly sparseOutput?: boolean | undefined;
  /**
   * Whether `allocate()` may leave it out where there is too little memory, see
   * {@link Weight.leftOut}. Default false.
   */
  readonly optional?: boolean | undefined;
}

/** Whether a weight can be kept in other formats than f32. */
export function canQuantize({ kind, shape }: WeightSpec): boolean {
  const isMatrix = kind === "matrix" || kind === "conv2d";
  return isMatrix && shape[1]! > 0 && shape[1]! % QUANTIZED_GROUP === 0;
}

/** Consecutive slices of a weight along its first dimension, as stored in the file. */
export interface WeightRows {
  /** Index of the first slice. */
  readonly firstRow: number;
  /** Number of slices. */
  readonly rows: number;
  /** Blocks only where they hold the format of the weight. */
  readonly dtype: StorageDtype | BlockDtype;
  /** `rows` times the size of a slice, little-endian; need not be aligned. */
  readonly bytes: Uint8Array;
}

/** Options of {@link Device.submit} and {@link Device.read}. */
export interface SubmitOptions {
  /** Stops between slices of work; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * One memory and one queue. A model's text decoder, vision tower and audio
 * tower each have a device of their own.
 *
 * Life: `declareWeight()` and `reserveKv()` say what will live here, `plan()`
 * records the largest step without running it, `allocate()` sizes the memory
 * once, `writeWeight()` fills it. Then steps: `upload()` and `ops` record,
 * `submit()` or `read()` runs what was recorded and ends the step, after which
 * its tensors are dead. One step at a time; the caller serialises.
 */
export interface Device extends AsyncDisposable {
  readonly name: DeviceName;
  readonly ops: Ops;
  /** Choosing tokens on the device; missing where the host does it as well. */
  readonly tokens?: TokenOps | undefined;
  /** Makes room for a weight. Only before `allocate()`. */
  declareWeight(spec: WeightSpec): Weight;
  /**
   * Makes room for key-value stores of these sizes, or others that take no
   * more. Only before `allocate()`; may be called repeatedly.
   */
  reserveKv(specs: readonly KvSpec[]): void;
  /**
   * Records a step for its memory needs alone, then drops it. Only before
   * `allocate()`; the largest of several calls counts. `record` gives the
   * tensors that the step will `read()`: they live to its end.
   */
  plan(record: () => readonly Tensor[]): void;
  /** Bytes the declared weights, the key-value stores and the largest planned step take. */
  requiredBytes(): { weights: number; kv: number; activations: number };
  /**
   * Takes the memory.
   *
   * @throws {DeviceError} When it does not fit, with the figures.
   */
  allocate(): Promise<void>;
  /** Writes part of a weight. Only after `allocate()`. */
  writeWeight(weight: Weight, rows: WeightRows): Promise<void>;
  /**
   * Takes a store from what `reserveKv()` reserved. Inside `plan()` it gives a
   * stand-in of that size, good for that plan only.
   *
   * @throws {DeviceError} When none of that size is free.
   */
  createKvStore(spec: KvSpec): KvStore;
  /** Gives a store back. Nothing is left to do once the device is disposed. */
  freeKvStore(store: KvStore): void;
  /** Copies host values into the step. */
  upload(data: Float32Array, shape: Shape): Tensor;
  /**
   * Runs everything recorded; ends the step. A device whose queue keeps the
   * order need not wait for it: what fails then fails a later step.
   */
  submit(options?: SubmitOptions): Promise<void>;
  /** Runs everything recorded, brings these tensors back; ends the step. */
  read(
    tensors: readonly Tensor[],
    options?: SubmitOptions,
  ): Promise<Float32Array[]>;
  /** Drops everything recorded without running it. */
  discard(): void;
}
