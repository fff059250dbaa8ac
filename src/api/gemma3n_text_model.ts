// The text decoder without its head. Transformers' Gemma3nTextModel.
import type { ModelSource } from "../hub/source.ts";
import type { Gemma3nTextConfig } from "../models/gemma3n/config.ts";
import type { SequenceCache } from "../models/gemma3n/sequence_cache.ts";
import { forward } from "./forward.ts";
import { LoadedModel } from "./loaded_model.ts";
import type {
  CacheOptions,
  Gemma3nModelOutput,
  Gemma3nTextInputs,
  ModelForwardOptions,
} from "./model_io.ts";
import type { ModelOptions } from "./model_options.ts";

/**
 * The text decoder of Gemma 3n without its head, from a checkpoint of the
 * decoder alone or of a whole model, whose towers are left alone.
 *
 * @example
 * ```ts
 * import { AutoProcessor, Gemma3nTextModel } from "@g3n/core";
 *
 * const source = "tests/reference/tiny-text";
 * const processor = await AutoProcessor.fromPretrained(source);
 * await using model = await Gemma3nTextModel.fromPretrained(source, { dtype: "f32" });
 * const inputs = await processor.process({ text: "The capital of France is" });
 * const { lastHiddenState } = await model.forward(inputs);
 * console.log(lastHiddenState.shape); // [B, T, D]
 * ```
 */
export class Gemma3nTextModel implements AsyncDisposable {
  /** config.json, or its `text_config`. */
  readonly config: Gemma3nTextConfig;
  readonly #model: LoadedModel;

  private constructor(model: LoadedModel) {
    this.config = model.config.textConfig;
    this.#model = model;
  }

  /**
   * Checks a checkpoint's decoder and loads it.
   *
   * @param source Hub id, local directory, URL of a folder, or an object that opens files by name.
   * @throws As `Gemma3nForConditionalGeneration.fromPretrained()`.
   */
  static async fromPretrained(
    source: ModelSource,
    options: ModelOptions = {},
  ): Promise<Gemma3nTextModel> {
    const parts = { towers: false, head: false };
    return new Gemma3nTextModel(await LoadedModel.load(source, options, parts));
  }

  /**
   * Runs the decoder over a batch.
   *
   * @throws As `Gemma3nForCausalLM.forward()`.
   */
  async forward(
    inputs: Gemma3nTextInputs,
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
