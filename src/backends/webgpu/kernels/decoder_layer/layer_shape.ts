// What the kernels of a decoder layer are made for: sizes, and where each weight
// lies in the one buffer of the layer. All of it becomes literals of the WGSL, so
// layers of the same sizes and formats have the same kernels.
import type { WeightFormat } from "../../../../core/dtype.ts";
import type { SubgroupFeatures } from "../../features.ts";

/** A matrix `[rows, width]`; weight_layout.ts says how it lies. */
export interface MatrixPlace {
  readonly format: WeightFormat;
  readonly rows: number;
  readonly width: number;
  /** Words before its values. */
  readonly values: number;
  /** Words before its scales. */
  readonly scales: number;
}

/** Keys and values that a layer makes itself. */
export interface KeyValuePlaces {
  readonly kProj: MatrixPlace;
  readonly vProj: MatrixPlace;
  readonly kNorm: number;
}

/** Where the weights of a layer lie. Vectors are given by the quads (of f32) before them. */
export interface LayerPlaces {
  readonly routerNorm: number;
  readonly router: MatrixPlace; // [A, D]
  /** Words before `[A * A, A]` f32. */
  readonly predictionCoefs: number;
  /** Words before `[A, A]` f32. */
  readonly correctionCoefs: number;
  readonly correctOutputScale: number;
  readonly inputNorm: number;
  readonly qProj: MatrixPlace;
  readonly qNorm: number;
  readonly oProj: MatrixPlace;
  /** `undefined` where an earlier layer's keys and values are used. */
  readonly keyValue: KeyValuePlaces | undefined;
  readonly laurelLeft: MatrixPlace;
  readonly laurelRight: MatrixPlace;
  readonly laurelNorm: number;
  readonly attentionNorm: number;
  readonly preFeedforwardNorm: number;
  readonly gateProj: MatrixPlace;
  readonly upProj: MatrixPlace;
  readonly downProj: MatrixPlace;
  readonly postFeedforwardNorm: number;
  readonly perLayerGate: MatrixPlace;
  readonly perLayerProjection: MatrixPlace;
  readonly postPerLayerInputNorm: number;
}

/** A layer as its kernels see it. */
export interface LayerShape extends LayerPlaces {
  readonly subgroups: SubgroupFeatures;
  readonly streams: number; // A
  readonly hidden: number; // D
  readonly heads: number; // N
  readonly kvHeads: number; // K
  readonly headDim: number; // H
  readonly perLayer: number; // P
  readonly rank: number; // R
  readonly intermediate: number; // F
  readonly eps: number;
  /** Deviations above the mean; `undefined` in dense layers. */
  readonly cutoff: number | undefined;
  readonly window: number | undefined;
  /** Whether the active stream is scaled before it gates. */
  readonly correctScale: boolean;
}

/** What a kernel is started with. */
export interface LayerKernel {
  readonly label: string;
  readonly code: string;
  /** How often it binds the buffer of the weights: as words, as quads, or as both. */
  readonly weightViews: number;
  /** Workgroups in x; those in y are the caller's. */
  readonly groups: number;
  /** Multiply-adds. */
  readonly cost: number;
}

/** Fewest and most threads of a workgroup: every GPU can start the most. */
const MIN_THREADS = 32;
const MAX_THREADS = 256;

/** Threads of which each has eight elements of a row, while there are enough. */
export function threadsFor(width: number): number {
  return Math.min(MAX_THREADS, Math.max(MIN_THREADS, powerOf2(width / 8)));
}

/**
 * Rows of a workgroup, so that there are about `groups` workgroups: enough for a
 * large GPU, few enough that what all of them read again stays small beside the
 * weights.
 */
export function rowsFor(rows: number, groups: number, most: number): number {
  return Math.min(most, Math.ceil(rows / groups));
}

/** Multiply-adds of products with these. */
export function costOf(matrices: readonly MatrixPlace[]): number {
  return matrices.reduce((sum, { rows, width }) => sum + rows * width, 0);
}

/** The least power of two that is not less. */
export function powerOf2(value: number): number {
  return 2 ** Math.ceil(Math.log2(value));
}

/** `0, 1, ... count - 1`. */
export function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** A float literal. */
export function float(value: number): string {
  const text = String(Math.fround(value));
  return /[.e]/.test(text) ? text : `${text}.0`;
}
