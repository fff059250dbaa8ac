// getImageFeatures() and getAudioFeatures() of the models with towers.
import type { HostTensor } from "../core/tensor.ts";
import type { AudioFeaturesOutput } from "../models/gemma3n/media_towers.ts";
import { checkClips, checkPixelValues } from "./forward.ts";
import type { LoadedModel } from "./loaded_model.ts";

/** Options of calls that only may be stopped. */
export interface CallOptions {
  /** Stops the call; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Soft tokens of pictures. */
export async function imageFeaturesOf(
  model: LoadedModel,
  pixelValues: HostTensor<"float32">,
  { signal }: CallOptions,
): Promise<HostTensor<"float32">> {
  checkPixelValues(pixelValues);
  const { towers } = model.runtime;
  return await model.run(
    () => towers.imageFeatures(pixelValues, { signal }),
    signal,
  );
}

/** Soft tokens of clips, before they are padded. */
export async function audioFeaturesOf(
  model: LoadedModel,
  inputFeatures: HostTensor<"float32">,
  inputFeaturesMask: HostTensor<"uint8">,
  { signal }: CallOptions,
): Promise<AudioFeaturesOutput> {
  checkClips(inputFeatures, inputFeaturesMask);
  const { towers } = model.runtime;
  return await model.run(
    () => towers.audioFeatures(inputFeatures, inputFeaturesMask, { signal }),
    signal,
  );
}
