// Transformers' auto classes, as far as Gemma 3n answers to them.
import type { ModelSource } from "../hub/source.ts";
import { Gemma3nForCausalLM } from "./gemma3n_for_causal_lm.ts";
import { Gemma3nForConditionalGeneration } from "./gemma3n_for_conditional_generation.ts";
import { readConfig } from "./model_config.ts";
import { type ModelOptions, openSource } from "./model_options.ts";

/**
 * Loads a model that continues text, as Transformers' `AutoModelForCausalLM`.
 *
 * @example
 * ```ts
 * import { AutoModelForCausalLM } from "@g3n/core";
 *
 * await using model = await AutoModelForCausalLM.fromPretrained("tests/reference/tiny-text");
 * console.log(model.constructor.name); // "Gemma3nForCausalLM"
 * ```
 */
export class AutoModelForCausalLM {
  /**
   * A whole model comes as {@link Gemma3nForConditionalGeneration}, a decoder
   * alone as {@link Gemma3nForCausalLM}.
   *
   * @param source Hub id, local directory, URL of a folder, or an object that opens files by name.
   * @throws As `Gemma3nForConditionalGeneration.fromPretrained()`.
   */
  static async fromPretrained(
    source: ModelSource,
    options: ModelOptions = {},
  ): Promise<Gemma3nForConditionalGeneration | Gemma3nForCausalLM> {
    const { files, endLoading } = await openSource(source, options);
    try {
      const { visionConfig, audioConfig } = await readConfig(files);
      const isWhole = visionConfig !== undefined || audioConfig !== undefined;
      const Model = isWhole
        ? Gemma3nForConditionalGeneration
        : Gemma3nForCausalLM;
      return await Model.fromPretrained(source, options);
    } finally {
      endLoading();
    }
  }
}

/**
 * Loads a model of pictures and text, as Transformers' `AutoModelForImageTextToText`.
 *
 * @example
 * ```ts
 * import { AutoModelForImageTextToText } from "@g3n/core";
 *
 * await using model = await AutoModelForImageTextToText.fromPretrained("tests/reference/tiny");
 * console.log(model.config.visionConfig?.architecture); // "mobilenetv5_300m_enc"
 * ```
 */
export class AutoModelForImageTextToText {
  /**
   * Loads {@link Gemma3nForConditionalGeneration}.
   *
   * @param source Hub id, local directory, URL of a folder, or an object that opens files by name.
   * @throws As `Gemma3nForConditionalGeneration.fromPretrained()`.
   */
  static fromPretrained(
    source: ModelSource,
    options: ModelOptions = {},
  ): Promise<Gemma3nForConditionalGeneration> {
    return Gemma3nForConditionalGeneration.fromPretrained(source, options);
  }
}
