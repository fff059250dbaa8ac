// The whole model without its head. Transformers' Gemma3nModel.
import type { HostTensor } from "../core/tensor.ts";
import type { ModelSource } from "../hub/source.ts";
import type { Gemma3nConfig } from "../models/gemma3n/config.ts";
import type { AudioFeaturesOutput } from "../models/gemma3n/media_towers.ts";
import type { SequenceCache } from "../models/gemma3n/sequence_cache.ts";
import { forward } from "./forward.ts";
import { LoadedModel } from "./loaded_model.ts";
import {
  audioFeaturesOf,
  type CallOptions,
  imageFeaturesOf,
} from "./media_features.ts";
import type {
  CacheOptions,
  Gemma3nInputs,
  Gemma3nModelOutput,
  ModelForwardOptions,
} from "./model_io.ts";
import type { ModelOptions } from "./model_options.ts";

/**
 * Gemma 3n without its head: text, pictures and sound to hidden states.
 *
 * @example
 * ```ts
 * import { AutoProcessor, Gemma3nModel } from "@g3n/core";
 *
 * const source = "tests/reference/tiny";
 * const processor = await AutoProcessor.fromPretrained(source);
 * await using model = await Gemma3nModel.fromPretrained(source, { dtype: "f32" });
 * const inputs = await processor.process({ text: "The capital of France is" });
 * const { lastHiddenState } = await model.forward(inputs);
 * console.log(lastHiddenState.shape); // [B, T, D]
 * ```
 */
export class Gemma3nModel implements AsyncDisposable {
  /** The checkpoint's config.json. */
  readonly config: Gemma3nConfig;
  readonly #model: LoadedModel;

  private constructor(model: LoadedModel) {
    this.config = model.config;
    this.#model = model;
  }

  /**
   * Checks a checkpoint and loads its decoder; the towers are read when a
   * picture or a clip first needs them. A head is neither needed nor read.
   *
   * @param source Hub id, local directory, URL of a folder, or an object that opens files by name.
   * @throws As `Gemma3nForConditionalGeneration.fromPretrained()`.
   */
  static async fromPretrained(
    source: ModelSource,
    options: ModelOptions = {},
  ): Promise<Gemma3nModel> {
    const parts = { towers: true, head: false };
    return new Gemma3nModel(await LoadedModel.load(source, options, parts));
  }

  /**
   * Runs the model over a batch.
   *
   * @throws As `Gemma3nForConditionalGeneration.forward()`.
   */
  async forward(
    inputs: Gemma3nInputs,
    options: ModelForwardOptions = {},
  ): Promise<Gemma3nModelOutput> {
    const { kept, ...states } = await forward(
      this.#model,
      inputs,
      options,
      "lastHiddenState",
    );
    return { lastHiddenState: kept, ...states };
  }

  /**
   * Soft tokens of pictures, `[N, 3, H, W]` -> `[N, S, D]`.
   *
   * @throws As `Gemma3nForConditionalGeneration.getImageFeatures()`.
   */
  getImageFeatures(
    pixelValues: HostTensor<"float32">,
    options: CallOptions = {},
  ): Promise<HostTensor<"float32">> {
    return imageFeaturesOf(this.#model, pixelValues, options);
  }

  /**
   * Soft tokens of clips before they are padded to the slots of a prompt.
   *
   * @throws As `Gemma3nForConditionalGeneration.getAudioFeatures()`.
   */
  getAudioFeatures(
    inputFeatures: HostTensor<"float32">,
    inputFeaturesMask: HostTensor<"uint8">,
    options: CallOptions = {},
  ): Promise<AudioFeaturesOutput> {
    return audioFeaturesOf(
      this.#model,
      inputFeatures,
      inputFeaturesMask,
      options,
    );
  }

  /**
   * Makes the cache of a sequence, of at most `maxLength` tokens (default: the
   * model's `contextLength`).
   *
   * @throws As `Gemma3nForConditionalGeneration.createCache()`.
   */
  createCache({ maxLength }: CacheOptions = {}): SequenceCache {
    return this.#model.createCache(maxLength);
  }

  /** Gives all memory back, see `Gemma3nForConditionalGeneration.dispose()`. */
  dispose(): Promise<void> {
    return this.#model.dispose();
  }

  /** Disposes the model at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}
