// Texts, pictures, clips and conversations to model inputs, as Transformers'
// Gemma3nProcessor makes them.
import { InputError } from "../core/errors.ts";
import { type HostTensor, hostTensor } from "../core/tensor.ts";
import type { BatchFeature } from "./batch_feature.ts";
import type { ChatTemplate, RenderOptions } from "./chat_template.ts";
import {
  type AudioFeatureExtractor,
  type AudioFeatures,
  type AudioInput,
  type AudioSource,
  type ImageInput,
  type ImageProcessor,
  type ImageSource,
  type LoadMedia,
  loadReferences,
  matchMedia,
  type MediaBatch,
} from "./media.ts";
import { isBatch, type Message, readConversation } from "./messages.ts";
import { type PaddingOptions, padSequences } from "./padding.ts";
import {
  countPlaceholders,
  expandPlaceholders,
  type Placeholder,
  placeholder,
} from "./placeholder_expansion.ts";
import type { DecodeOptions, GemmaTokenizer } from "./tokenizer.ts";

export type { BatchFeature } from "./batch_feature.ts";

// token_type_ids of soft tokens; all others are 0.
const IMAGE_TOKEN_TYPE = 1;
const AUDIO_TOKEN_TYPE = 3;

/** What a {@link Gemma3nProcessor} is made of. */
export interface Gemma3nProcessorParts {
  /** Needed always. */
  readonly tokenizer: GemmaTokenizer;
  /** Needed by `applyChatTemplate()` alone. */
  readonly chatTemplate?: ChatTemplate | undefined;
  /** Needed for pictures. */
  readonly imageProcessor?: ImageProcessor | undefined;
  /** Needed for sound. */
  readonly featureExtractor?: AudioFeatureExtractor | undefined;
  /** Soft tokens per picture. Default: 256. */
  readonly imageSeqLength?: number | undefined;
  /** Soft tokens per clip. Default: 188. */
  readonly audioSeqLength?: number | undefined;
  /** Reads media given as URL or path. */
  readonly loadMedia?: LoadMedia | undefined;
}

/** Input of {@link Gemma3nProcessor.process}. */
export interface ProcessorInput {
  /** One text, or one per sequence of the batch, with one placeholder per picture or clip. */
  readonly text: string | readonly string[];
  /** Pictures in the order of their placeholders, flat or one list per text. */
  readonly images?: MediaBatch<ImageSource> | undefined;
  /** Clips in the order of their placeholders, flat or one list per text. */
  readonly audio?: MediaBatch<AudioSource> | undefined;
}

/** Options of {@link Gemma3nProcessor.process}. */
export interface ProcessOptions extends PaddingOptions {
  /** Whether to put `<bos>` before each text. Default: true. */
  readonly addSpecialTokens?: boolean | undefined;
}

/** Options of {@link Gemma3nProcessor.applyChatTemplate}. */
export interface ApplyChatTemplateOptions
  extends RenderOptions, PaddingOptions {
  /** `false` gives the prompt itself. Default: true. */
  readonly tokenize?: boolean | undefined;
}

/**
 * Makes model inputs of texts, pictures and sound, and text of token ids.
 *
 * @example
 * ```ts
 * import { AutoProcessor } from "@g3n/core";
 *
 * const processor = await AutoProcessor.fromPretrained("tests/reference/tiny");
 * const inputs = await processor.applyChatTemplate([{
 *   role: "user",
 *   content: [
 *     { type: "image", url: "tests/reference/media/cat.png" },
 *     { type: "text", text: "What is in the picture?" },
 *   ],
 * }], { addGenerationPrompt: true });
 * console.log(inputs.pixelValues?.shape); // [1, 3, 256, 256]
 * ```
 */
export class Gemma3nProcessor {
  /** The tokenizer. */
  readonly tokenizer: GemmaTokenizer;
  readonly #parts: Gemma3nProcessorParts;
  readonly #image: Placeholder | undefined;
  readonly #audio: Placeholder | undefined;

  /**
   * Puts the parts together.
   *
   * @throws {CheckpointError} When the tokenizer has only some of the tokens
   * for pictures or sound.
   */
  constructor(parts: Gemma3nProcessorParts) {
    const { tokenizer, imageSeqLength = 256, audioSeqLength = 188 } = parts;
    this.tokenizer = tokenizer;
    this.#parts = parts;
    this.#image = placeholder(tokenizer, "image", imageSeqLength);
    this.#audio = placeholder(tokenizer, "audio", audioSeqLength);
  }

  /**
   * Model inputs of texts with their pictures and clips. Each text holds one
   * `<image_soft_token>` per picture and one `<audio_soft_token>` per clip.
   *
   * @throws {InputError} When there is no text, the media do not match the
   * placeholders, or a medium cannot be loaded or read.
   */
  async process(
    input: ProcessorInput,
    options: ProcessOptions = {},
  ): Promise<BatchFeature> {
    const texts = checkTexts(input?.text);
    // All counts are checked before anything is loaded or computed.
    const images = this.#match(texts, input.images, "images", this.#image);
    const audio = this.#match(texts, input.audio, "audio clips", this.#audio);
    const expanded = texts.map((text) =>
      expandPlaceholders(expandPlaceholders(text, this.#audio), this.#image)
    );
    const sequences: Int32Array[] = [];
    for (const text of expanded) {
      sequences.push(await this.tokenizer.encode(text, options));
    }
    const { padTokenId, paddingSide } = this.tokenizer;
    const batch = padSequences(sequences, padTokenId, paddingSide, options);
    return {
      ...batch,
      tokenTypeIds: this.#tokenTypes(batch.inputIds),
      ...(images.length > 0
        ? { pixelValues: await this.#pixelValues(images) }
        : {}),
      ...(audio.length > 0 ? await this.#audioFeatures(audio) : {}),
    };
  }

  /** The prompt of a conversation, media placeholders not yet expanded. */
  applyChatTemplate(
    messages: readonly Message[],
    options: ApplyChatTemplateOptions & { readonly tokenize: false },
  ): Promise<string>;
  /** The prompts of several conversations. */
  applyChatTemplate(
    messages: readonly (readonly Message[])[],
    options: ApplyChatTemplateOptions & { readonly tokenize: false },
  ): Promise<string[]>;
  /**
   * Model inputs of one conversation or several.
   *
   * @throws {InputError} When a message cannot be used, the template rejects
   * the conversation, or a medium cannot be loaded or read.
   */
  applyChatTemplate(
    messages: readonly Message[] | readonly (readonly Message[])[],
    options?: ApplyChatTemplateOptions & {
      readonly tokenize?: true | undefined;
    },
  ): Promise<BatchFeature>;
  async applyChatTemplate(
    messages: readonly Message[] | readonly (readonly Message[])[],
    options: ApplyChatTemplateOptions = {},
  ): Promise<string | string[] | BatchFeature> {
    const { chatTemplate } = this.#parts;
    if (chatTemplate === undefined) {
      throw new InputError(
        "Cannot apply the chat template: the checkpoint has none; use process() with a text",
      );
    }
    const conversations = (isBatch(messages) ? messages : [messages])
      .map(readConversation);
    const prompts = conversations.map((conversation) =>
      chatTemplate.render(conversation.messages, options)
    );
    if (options.tokenize === false) {
      return isBatch(messages) ? prompts : prompts[0]!;
    }
    const { bos_token: bos } = this.tokenizer.specialTokens;
    return await this.process({
      text: prompts,
      images: conversations.map((conversation) => conversation.images),
      audio: conversations.map((conversation) => conversation.audio),
    }, {
      ...options,
      // The template has written the special tokens already.
      addSpecialTokens: bos === undefined || !prompts[0]!.startsWith(bos),
    });
  }

  /** Text of one sequence of token ids; see {@link GemmaTokenizer.decode}. */
  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    return this.tokenizer.decode(ids, options);
  }

  /** The token as spelled in the vocabulary; streamers know runs of byte tokens by it. */
  idToToken(id: number): string | undefined {
    return this.tokenizer.idToToken(id);
  }

  /** Texts of several sequences. */
  batchDecode(
    sequences: readonly ArrayLike<number>[],
    options: DecodeOptions = {},
  ): string[] {
    return sequences.map((ids) => this.decode(ids, options));
  }

  #match<T>(
    texts: readonly string[],
    media: MediaBatch<T> | undefined,
    noun: string,
    kind: Placeholder | undefined,
  ): T[] {
    if (kind !== undefined) {
      const counts = texts.map((text) => countPlaceholders(text, kind));
      return matchMedia(media ?? [], noun, counts, kind.token);
    }
    if (
      media === undefined || Array.isArray(media) && media.flat().length === 0
    ) {
      return [];
    }
    throw new InputError(
      `Cannot process ${noun}: the tokenizer has no token for them; use a multimodal checkpoint`,
    );
  }

  async #pixelValues(
    images: readonly ImageSource[],
  ): Promise<HostTensor<"float32">> {
    const { imageProcessor, loadMedia } = this.#parts;
    if (imageProcessor === undefined) {
      throw new InputError(
        "Cannot process images: the checkpoint has no image processor",
      );
    }
    return await imageProcessor.process(
      await loadReferences<ImageInput>(images, loadMedia),
    );
  }

  async #audioFeatures(audio: readonly AudioSource[]): Promise<AudioFeatures> {
    const { featureExtractor, loadMedia } = this.#parts;
    if (featureExtractor === undefined) {
      throw new InputError(
        "Cannot process audio clips: the checkpoint has no feature extractor",
      );
    }
    const { inputFeatures, inputFeaturesMask } = await featureExtractor
      .process(await loadReferences<AudioInput>(audio, loadMedia));
    return { inputFeatures, inputFeaturesMask };
  }

  #tokenTypes(inputIds: HostTensor<"int32">): HostTensor<"int32"> {
    const types = inputIds.data.map((id) =>
      id === this.#image?.tokenId
        ? IMAGE_TOKEN_TYPE
        : id === this.#audio?.tokenId
        ? AUDIO_TOKEN_TYPE
        : 0
    );
    return hostTensor("int32", inputIds.shape, types);
  }
}

function checkTexts(
  text: ProcessorInput["text"] | undefined,
): readonly string[] {
  const texts: readonly unknown[] = Array.isArray(text) ? text : [text];
  if (texts.length === 0 || texts.some((entry) => typeof entry !== "string")) {
    throw new InputError(
      "Cannot process the input: its text is not a string or a list of at least one string",
    );
  }
  return texts as readonly string[];
}
