// Builds the processor that belongs to a checkpoint from its files.
import { CheckpointError } from "../core/errors.ts";
import { isJsonObject, type JsonObject } from "../core/json.ts";
import type { ModelSource } from "../hub/source.ts";
import type { ModelFiles } from "../io/model_files.ts";
import { Gemma3nAudioFeatureExtractor } from "../processing/audio_feature_extractor.ts";
import { ChatTemplate, findChatTemplate } from "../processing/chat_template.ts";
import { SiglipImageProcessor } from "../processing/image_processor.ts";
import { Gemma3nProcessor } from "../processing/processor.ts";
import { parseProcessorConfig } from "../processing/processor_config.ts";
import { GemmaTokenizer } from "../processing/tokenizer.ts";
import { mediaLoader } from "./media_loading.ts";
import {
  type OpenedSource,
  openSource,
  readJson,
  type SourceOptions,
} from "./model_options.ts";

/**
 * Finds the processor of a checkpoint, as Transformers' `AutoProcessor`.
 *
 * @example
 * ```ts
 * import { AutoProcessor } from "@g3n/core";
 *
 * const processor = await AutoProcessor.fromPretrained("tests/reference/tiny");
 * const { inputIds } = await processor.process({ text: "Hello" });
 * console.log(inputIds.shape);
 * ```
 */
export class AutoProcessor {
  /**
   * Reads tokenizer, chat template and preprocessing of a checkpoint. Without
   * image or audio preprocessing in its files, the processor takes text alone.
   *
   * @param source Hub id, local directory, URL of a folder, or an object that opens files by name.
   * @throws {CheckpointError} When a file is missing or damaged.
   * @throws {HubError} When a file cannot be fetched.
   */
  static async fromPretrained(
    source: ModelSource,
    options: SourceOptions = {},
  ): Promise<Gemma3nProcessor> {
    const opened = await openSource(source, options);
    try {
      return await AutoProcessor.#load(opened);
    } finally {
      opened.endLoading();
    }
  }

  static async #load(opened: OpenedSource): Promise<Gemma3nProcessor> {
    const { files, platform } = opened;
    const tokenizerConfig = {
      // Before Transformers 5 the tokens had a file of their own.
      ...await readJson(files, "special_tokens_map.json"),
      ...await requiredJson(files, "tokenizer_config.json"),
    };
    const tokenizer = new GemmaTokenizer(
      await requiredJson(files, "tokenizer.json"),
      tokenizerConfig,
    );
    const processorConfig = await readJson(files, "processor_config.json");
    const template = findChatTemplate({
      jinja: await files.readText("chat_template.jinja"),
      json: await readJson(files, "chat_template.json") ?? processorConfig,
      tokenizerConfig,
    });
    return new Gemma3nProcessor({
      tokenizer,
      chatTemplate: template === undefined
        ? undefined
        : new ChatTemplate(template, tokenizer.specialTokens),
      ...await mediaProcessors(opened, processorConfig),
      ...parseProcessorConfig(processorConfig),
      loadMedia: mediaLoader(platform),
    });
  }
}

// processor_config.json of Transformers 5 holds both configs under keys of
// their own; preprocessor_config.json of 2025 holds the fields of both at once.
async function mediaProcessors(
  { files, platform, warn }: OpenedSource,
  processorConfig: JsonObject | undefined,
): Promise<{
  imageProcessor: SiglipImageProcessor | undefined;
  featureExtractor: Gemma3nAudioFeatureExtractor | undefined;
}> {
  const merged = await readJson(files, "preprocessor_config.json");
  const config = (key: string, marker: string) => {
    const nested = processorConfig?.[key];
    if (isJsonObject(nested)) return nested;
    return merged?.[marker] === undefined ? undefined : merged;
  };
  const image = config("image_processor", "image_processor_type");
  const audio = config("feature_extractor", "feature_extractor_type");
  const { yieldToEventLoop } = platform;
  return {
    imageProcessor: image &&
      new SiglipImageProcessor(image, { yieldToEventLoop }),
    featureExtractor: audio &&
      new Gemma3nAudioFeatureExtractor(audio, {
        yieldToEventLoop,
        onWarning: warn,
      }),
  };
}

async function requiredJson(
  files: ModelFiles,
  name: string,
): Promise<JsonObject> {
  const json = await readJson(files, name);
  if (json === undefined) {
    throw new CheckpointError(
      `Cannot find "${name}" in ${files.describe()}: the tokenizer needs it`,
      { file: name },
    );
  }
  return json;
}
