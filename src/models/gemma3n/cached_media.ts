// Pictures and clips of a whole conversation, without those whose soft tokens
// a cache already holds.
import { InputError } from "../../core/errors.ts";
import {
  type HostDtype,
  type HostTensor,
  hostTensor,
} from "../../core/tensor.ts";
import type { Gemma3nConfig } from "./config.ts";

/** Pictures and clips of a call. */
export interface MediaInputs {
  /** `[N, 3, H, W]` */
  readonly pixelValues?: HostTensor<"float32"> | undefined;
  /** `[C, F, M]` */
  readonly inputFeatures?: HostTensor<"float32"> | undefined;
  /** `[C, F]` */
  readonly inputFeaturesMask?: HostTensor<"uint8"> | undefined;
}

/** A whole sequence, of which the first `cached` ids are in a cache. */
export interface CachedSequence {
  readonly ids: Int32Array;
  readonly cached: number;
}

/**
 * The media of the tokens that are not cached. What fits neither the new
 * tokens nor the whole sequences is left as it is, to be refused where soft
 * tokens are dealt out.
 *
 * @throws {InputError} When a cache ends inside a picture or clip.
 */
export function uncachedMedia(
  { pixelValues, inputFeatures, inputFeaturesMask }: MediaInputs,
  sequences: readonly CachedSequence[],
  config: Gemma3nConfig,
): MediaInputs {
  const pictures = pixelValues && uncachedItems(sequences, {
    count: pixelValues.shape[0]!,
    placeholder: config.imageTokenId,
    size: config.visionSoftTokensPerImage,
    noun: "picture",
  });
  const clips = inputFeatures && uncachedItems(sequences, {
    count: inputFeatures.shape[0]!,
    placeholder: config.audioTokenId,
    size: config.audioSoftTokensPerImage,
    noun: "clip",
  });
  return {
    pixelValues: select(pixelValues, pictures),
    inputFeatures: select(inputFeatures, clips),
    inputFeaturesMask: select(inputFeaturesMask, clips),
  };
}

interface MediaItems {
  readonly count: number;
  readonly placeholder: number;
  /** Soft tokens of one. */
  readonly size: number;
  readonly noun: string;
}

/** Indices of the items in the new tokens; `undefined` for all. */
function uncachedItems(
  sequences: readonly CachedSequence[],
  { count, placeholder, size, noun }: MediaItems,
): number[] | undefined {
  const indices: number[] = [];
  let total = 0;
  for (const { ids, cached } of sequences) {
    const before = countId(ids.subarray(0, cached), placeholder);
    if (before % size !== 0) {
      throw new InputError(
        `Cannot continue the cache: its ${cached} tokens end inside a ${noun}; crop it to the end of one or to what is before`,
      );
    }
    const all = Math.floor(countId(ids, placeholder) / size);
    for (let i = before / size; i < all; i++) indices.push(total + i);
    total += all;
  }
  return count === total && indices.length < total ? indices : undefined;
}

function countId(ids: Int32Array, wanted: number): number {
  return ids.reduce((sum, id) => id === wanted ? sum + 1 : sum, 0);
}

/** Slices of the first dimension; `undefined` when none is left. */
function select<T extends HostDtype>(
  tensor: HostTensor<T> | undefined,
  indices: readonly number[] | undefined,
): HostTensor<T> | undefined {
  if (tensor === undefined || indices === undefined) return tensor;
  if (indices.length === 0) return undefined;
  const { dtype, shape, data } = tensor;
  const size = data.length / shape[0]!;
  const out = data.slice(0, indices.length * size) as typeof data;
  indices.forEach((index, i) =>
    out.set(data.subarray(index * size, (index + 1) * size), i * size)
  );
  return hostTensor(dtype, [indices.length, ...shape.slice(1)], out);
}
