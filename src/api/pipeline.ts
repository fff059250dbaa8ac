// pipeline(task): a processor and a model behind one call, as Transformers'
// pipelines.
import { InputError } from "../core/errors.ts";
import type { FinishReason } from "../generation/continuation.ts";
import type { GenerateTokensOptions } from "../generation/generate.ts";
import type { Streamer } from "../generation/streamer.ts";
import { TextIteratorStreamer } from "../generation/text_iterator_streamer.ts";
import type { ModelSource } from "../hub/source.ts";
import type { Message } from "../processing/messages.ts";
import type { BatchFeature } from "../processing/batch_feature.ts";
import type { Gemma3nProcessor } from "../processing/processor.ts";
import { AutoProcessor } from "./auto_processor.ts";
import { defaultModel } from "./default_model.ts";
import { Gemma3nForConditionalGeneration } from "./gemma3n_for_conditional_generation.ts";
import type { ModelOptions } from "./model_options.ts";
import {
  checkTask,
  type Conversation,
  type PipelineInput,
  type PipelineTask,
  type PromptOptions,
  readInput,
} from "./pipeline_input.ts";

/** Options of a call of a {@link Pipeline}: how to generate, and what to say. */
export interface PipelineCallOptions
  extends
    PromptOptions,
    Omit<GenerateTokensOptions, "generationConfig" | "tokenizer"> {
  /** Receives the ids as they come, e.g. a `TextStreamer`. */
  readonly streamer?: Streamer | undefined;
}

/** One answer. */
export interface PipelineResult {
  /** The new text alone, without control tokens, up to a stop string. */
  readonly generatedText: string;
  /** The conversation with the answer, to go on from. */
  readonly messages: readonly Message[];
  /** Why it ended: `"stop"` or `"length"`. */
  readonly finishReason: FinishReason;
}

/** A model with its processor, ready to answer. Dispose it to give the memory back. */
export interface Pipeline extends AsyncDisposable {
  /**
   * Answers one input; gives one result, or `numReturnSequences` of them.
   *
   * @throws {InputError} When the input or an option cannot be used.
   * @throws {ContextLengthError} When it does not fit.
   */
  (
    input: PipelineInput,
    options?: PipelineCallOptions,
  ): Promise<PipelineResult[]>;
  /** Answers several inputs together; gives a list of results for each. */
  (
    inputs: readonly PipelineInput[],
    options?: PipelineCallOptions,
  ): Promise<PipelineResult[][]>;
  /** Answers one input in pieces of text, as they are made. */
  stream(
    input: PipelineInput,
    options?: Omit<PipelineCallOptions, "streamer">,
  ): AsyncGenerator<string, void, void>;
  /** What it answers. */
  readonly task: PipelineTask;
  /** The processor. */
  readonly processor: Gemma3nProcessor;
  /** The model. */
  readonly model: Gemma3nForConditionalGeneration;
  /** Disposes the model. */
  dispose(): Promise<void>;
}

/**
 * Loads a model and its processor for a task.
 *
 * - `text-generation`: a text is continued as it stands, a conversation is
 *   answered
 * - `image-text-to-text`, `audio-text-to-text`, `any-to-any`: a conversation,
 *   or `{ text, images, audio }`, is answered
 * - `automatic-speech-recognition`: a clip is transcribed
 *
 * @param source Hub id, local directory, URL of a folder or of a GGUF file, or an object that opens files by name. Default: the small model of the package `@g3n/nano`, which must be installed.
 * @throws {InputError} For an unknown task, or when there is no source and the default model is not installed.
 * @throws As `Gemma3nForConditionalGeneration.fromPretrained()`.
 *
 * @example
 * ```ts
 * import { pipeline } from "@g3n/core";
 *
 * await using describe = await pipeline("image-text-to-text", "tests/reference/tiny", { dtype: "f32" });
 * const [answer] = await describe(
 *   { text: "What is this?", images: "tests/reference/media/cat.png" },
 *   { maxNewTokens: 4 },
 * );
 * console.log(answer!.generatedText);
 * ```
 */
export async function pipeline(
  task: PipelineTask,
  source?: ModelSource,
  options: ModelOptions = {},
): Promise<Pipeline> {
  checkTask(task);
  const found = source ?? await defaultModel();
  const processor = await AutoProcessor.fromPretrained(found, options);
  const model = await Gemma3nForConditionalGeneration.fromPretrained(
    found,
    options,
  );
  return createPipeline(task, model, processor);
}

/**
 * Joins a loaded model and its processor to a {@link Pipeline}, which disposes
 * the model with itself.
 *
 * @example
 * ```ts
 * import { createPipeline, pipeline } from "@g3n/core";
 *
 * await using describe = await pipeline("image-text-to-text", "tests/reference/tiny");
 * // Another task on the same weights.
 * const generate = createPipeline("text-generation", describe.model, describe.processor);
 * const [answer] = await generate("The capital of France is", { maxNewTokens: 4 });
 * console.log(answer!.generatedText);
 * ```
 */
export function createPipeline(
  task: PipelineTask,
  model: Gemma3nForConditionalGeneration,
  processor: Gemma3nProcessor,
): Pipeline {
  checkTask(task);
  function call(
    input: PipelineInput,
    options?: PipelineCallOptions,
  ): Promise<PipelineResult[]>;
  function call(
    inputs: readonly PipelineInput[],
    options?: PipelineCallOptions,
  ): Promise<PipelineResult[][]>;
  async function call(
    input: PipelineInput | readonly PipelineInput[],
    options: PipelineCallOptions = {},
  ): Promise<PipelineResult[] | PipelineResult[][]> {
    const { conversations, isBatch } = readInput(task, input, options);
    const results = await answer(model, processor, conversations, options);
    return isBatch ? results : results[0]!;
  }
  async function* stream(
    input: PipelineInput,
    options: Omit<PipelineCallOptions, "streamer"> = {},
  ): AsyncGenerator<string, void, void> {
    const streamer = new TextIteratorStreamer(processor, {
      skipPrompt: true,
      skipSpecialTokens: true,
    });
    // Leaving the loop early must end the generation, too.
    const controller = new AbortController();
    const signal = options.signal
      ? AbortSignal.any([options.signal, controller.signal])
      : controller.signal;
    const done = call(input, { ...options, streamer, signal });
    // Inputs that cannot be used reject before the streamer hears of them.
    const failed = done.catch((error) => streamer.end(error));
    try {
      yield* streamer;
      await done;
    } finally {
      controller.abort();
      await failed;
    }
  }
  return Object.assign(call, {
    stream,
    task,
    processor,
    model,
    dispose: () => model.dispose(),
    [Symbol.asyncDispose]: () => model.dispose(),
  });
}

async function answer(
  model: Gemma3nForConditionalGeneration,
  processor: Gemma3nProcessor,
  conversations: readonly Conversation[],
  options: PipelineCallOptions,
): Promise<PipelineResult[][]> {
  const { system: _system, prompt: _prompt, ...generation } = options;
  const inputs = await modelInputs(processor, conversations);
  const { sequences, finishReasons, stopStrings } = await model.generate({
    ...inputs,
    ...generation,
    tokenizer: processor,
  });
  const perInput = sequences.length / conversations.length;
  const { data: mask, shape } = inputs.attentionMask;
  const T = shape[1]!;
  return conversations.map((conversation, b) => {
    const promptLength = mask.subarray(b * T, (b + 1) * T).reduce(
      (sum, one) => sum + one,
      0,
    );
    return Array.from({ length: perInput }, (_, i) => {
      const at = b * perInput + i;
      const ids = sequences[at]!.subarray(promptLength);
      const text = processor.decode(ids, { skipSpecialTokens: true });
      const generatedText = cutAt(text, stopStrings[at]);
      return {
        generatedText,
        messages: [
          ...conversation.messages,
          { role: "assistant", content: generatedText },
        ],
        finishReason: finishReasons[at]!,
      };
    });
  });
}

// Texts to continue go in as they are, conversations through the template.
function modelInputs(
  processor: Gemma3nProcessor,
  conversations: readonly Conversation[],
): Promise<BatchFeature> {
  const raw = conversations.map((conversation) => conversation.rawText);
  if (raw.every((text) => text !== undefined)) {
    return processor.process({ text: raw });
  }
  if (raw.some((text) => text !== undefined)) {
    throw new InputError(
      "Cannot answer a batch that mixes texts to continue and conversations; make two calls",
    );
  }
  return processor.applyChatTemplate(
    conversations.map((conversation) => conversation.messages),
    { addGenerationPrompt: true },
  );
}

function cutAt(text: string, stop: string | undefined): string {
  const at = stop === undefined ? -1 : text.indexOf(stop);
  return at < 0 ? text : text.slice(0, at);
}
