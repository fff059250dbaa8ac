// The text decoder with its head. Transformers' Gemma3nForCausalLM.
import type { GenerateResult } from "../generation/generate.ts";
import type { GenerationConfig } from "../generation/generation_config.ts";
import type { ModelSource } from "../hub/source.ts";
import type { Gemma3nTextConfig } from "../models/gemma3n/config.ts";
import type { SequenceCache } from "../models/gemma3n/sequence_cache.ts";
import { forward } from "./forward.ts";
import { generateBatch } from "./generate.ts";
import { LoadedModel } from "./loaded_model.ts";
import type {
  CacheOptions,
  ForwardOptions,
  Gemma3nOutput,
  Gemma3nTextGenerateOptions,
  Gemma3nTextInputs,
} from "./model_io.ts";
import type { ModelOptions } from "./model_options.ts";

/**
 * The text decoder of Gemma 3n with its head, from a checkpoint of the decoder
 * alone (`gemma3n_text`) or of a whole model, whose towers are left alone.
 *
 * Ids of the vision and audio vocabularies are embedded as text, with row 0 of
 * the per-layer table; Transformers refuses them here.
 *
 * @example
 * ```ts
 * import { AutoProcessor, Gemma3nForCausalLM } from "@g3n/core";
 *
 * const source = "tests/reference/tiny-text";
 * const processor = await AutoProcessor.fromPretrained(source);
 * await using model = await Gemma3nForCausalLM.fromPretrained(source, { dtype: "f32" });
 * const inputs = await processor.process({ text: "The capital of France is" });
 * const { logits } = await model.forward(inputs, { logitsToKeep: 1 });
 * console.log(logits.shape); // [1, 1, V]
 * ```
 */
export class Gemma3nForCausalLM implements AsyncDisposable {
  /** config.json, or its `text_config`. */
  readonly config: Gemma3nTextConfig;
  /** Defaults of `generate()`, from generation_config.json. */
  readonly generationConfig: GenerationConfig;
  readonly #model: LoadedModel;

  private constructor(model: LoadedModel) {
    this.config = model.config.textConfig;
    this.generationConfig = model.generationConfig;
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
  ): Promise<Gemma3nForCausalLM> {
    const parts = { towers: false, head: true };
    return new Gemma3nForCausalLM(
      await LoadedModel.load(source, options, parts),
    );
  }

  /**
   * Runs the decoder over a batch.
   *
   * @throws {InputError} When inputs do not fit together, or the model was disposed.
   * @throws {ContextLengthError} When a sequence does not fit.
   */
  async forward(
    inputs: Gemma3nTextInputs,
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
   */
  generate(options: Gemma3nTextGenerateOptions): Promise<GenerateResult> {
    return generateBatch(this.#model, options);
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
