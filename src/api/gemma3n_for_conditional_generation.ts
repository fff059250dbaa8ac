// The model a user loads. Transformers' Gemma3nForConditionalGeneration.
import type { HostTensor } from "../core/tensor.ts";
import type { GenerateResult } from "../generation/generate.ts";
import type { GenerationConfig } from "../generation/generation_config.ts";
import type { ModelSource } from "../hub/source.ts";
import type { Gemma3nConfig } from "../models/gemma3n/config.ts";
import type { AudioFeaturesOutput } from "../models/gemma3n/media_towers.ts";
import type { SequenceCache } from "../models/gemma3n/sequence_cache.ts";
import { forward } from "./forward.ts";
import { generateBatch } from "./generate.ts";
import { LoadedModel } from "./loaded_model.ts";
import {
  audioFeaturesOf,
  type CallOptions,
  imageFeaturesOf,
} from "./media_features.ts";
import type {
  CacheOptions,
  ForwardOptions,
  Gemma3nGenerateOptions,
  Gemma3nInputs,
  Gemma3nOutput,
} from "./model_io.ts";
import type { ModelOptions } from "./model_options.ts";

/**
 * Gemma 3n: text, pictures and sound in, text out.
 *
 * Calls on one model may overlap: they are queued, and the steps of several
 * generations take turns. Each generation has a cache of its own; one that
 * finds no room waits for another to end.
 *
 * @example
 * ```ts
 * import { AutoProcessor, Gemma3nForConditionalGeneration } from "@g3n/core";
 *
 * const source = "tests/reference/tiny";
 * const processor = await AutoProcessor.fromPretrained(source);
 * await using model = await Gemma3nForConditionalGeneration.fromPretrained(source, { dtype: "f32" });
 * const inputs = await processor.process({ text: "The capital of France is" });
 * const { sequences } = await model.generate({ ...inputs, maxNewTokens: 4 });
 * console.log(processor.decode(sequences[0]!, { skipSpecialTokens: true }));
 * ```
 */
export class Gemma3nForConditionalGeneration implements AsyncDisposable {
  /** The checkpoint's config.json. */
  readonly config: Gemma3nConfig;
  /** Defaults of `generate()`, from generation_config.json. */
  readonly generationConfig: GenerationConfig;
  readonly #model: LoadedModel;

  private constructor(model: LoadedModel) {
    this.config = model.config;
    this.generationConfig = model.generationConfig;
    this.#model = model;
  }

  /**
   * Checks a checkpoint and loads its decoder; the towers are read when a
   * picture or a clip first needs them.
   *
   * @param source Hub id, local directory, URL of a folder, or an object that opens files by name.
   * @throws {CheckpointError} When the checkpoint is damaged or incomplete.
   * @throws {UnsupportedError} When it needs something this version lacks.
   * @throws {InputError} When an option cannot be used, or there is no such directory.
   * @throws {DeviceError} When it does not fit into memory, with the figures.
   * @throws {HubError} When a file cannot be fetched.
   */
  static async fromPretrained(
    source: ModelSource,
    options: ModelOptions = {},
  ): Promise<Gemma3nForConditionalGeneration> {
    const parts = { towers: true, head: true };
    return new Gemma3nForConditionalGeneration(
      await LoadedModel.load(source, options, parts),
    );
  }

  /**
   * Runs the model over a batch.
   *
   * @throws {InputError} When inputs do not fit together or hold NaN, or the model was disposed.
   * @throws {ContextLengthError} When a sequence does not fit.
   * @throws {UnsupportedError} When there are media and the checkpoint has no tower for them.
   */
  async forward(
    inputs: Gemma3nInputs,
    options: ForwardOptions = {},
  ): Promise<Gemma3nOutput> {
    const { kept, ...states } = await forward(
      this.#model,
      inputs,
      options,
      "logits",
    );
    return { logits: kept, ...states };
  }

  /**
   * Continues each sequence of a batch until it ends. What the options leave
   * out comes from `generationConfig`.
   *
   * @throws {InputError} When inputs or options cannot be used, or the model was disposed, also while it ran.
   * @throws {ContextLengthError} When a sequence does not fit.
   * @throws {UnsupportedError} When there are media and the checkpoint has no tower for them.
   */
  generate(options: Gemma3nGenerateOptions): Promise<GenerateResult> {
    return generateBatch(this.#model, options);
  }

  /**
   * Soft tokens of pictures, `[N, 3, H, W]` -> `[N, S, D]`.
   *
   * @throws {UnsupportedError} When the checkpoint has no vision tower.
   * @throws {InputError} When the tensor has another shape or values that are not finite.
   */
  getImageFeatures(
    pixelValues: HostTensor<"float32">,
    options: CallOptions = {},
  ): Promise<HostTensor<"float32">> {
    return imageFeaturesOf(this.#model, pixelValues, options);
  }

  /**
   * Soft tokens of clips before they are padded to the slots of a prompt:
   * features `[C, F, 128]` and their mask `[C, F]` (1 = valid) ->
   * `{ features [C, S, D], mask [C, S] }`.
   *
   * @throws {UnsupportedError} When the checkpoint has no audio tower.
   * @throws {InputError} When the tensors have other shapes or values that are not finite.
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
   * @throws {InputError} When `maxLength` is no whole number of at least 1, or the model was disposed.
   * @throws {ContextLengthError} When `maxLength` is more than the `contextLength`.
   * @throws {DeviceError} When no room is left for another cache.
   */
  createCache({ maxLength }: CacheOptions = {}): SequenceCache {
    return this.#model.createCache(maxLength);
  }

  /**
   * Lets the running step end, then gives all memory back and closes the
   * files. Calls that are not done reject; further ones do, too.
   */
  dispose(): Promise<void> {
    return this.#model.dispose();
  }

  /** Disposes the model at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}
