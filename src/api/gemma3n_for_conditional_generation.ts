// The model a user loads. Transformers' Gemma3nForConditionalGeneration.
import { InputError } from "../core/errors.ts";
import type { HostTensor } from "../core/tensor.ts";
import { generate, type GenerateResult } from "../generation/generate.ts";
import type { GenerationConfig } from "../generation/generation_config.ts";
import { parseGenerationConfig } from "../generation/parse_generation_config.ts";
import type { ModelSource } from "../hub/source.ts";
import { type Checkpoint, openCheckpoint } from "../io/checkpoint.ts";
import type { Gemma3nConfig } from "../models/gemma3n/config.ts";
import type { DecoderInput } from "../models/gemma3n/decoder.ts";
import {
  type AudioFeaturesOutput,
  Gemma3nRuntime,
} from "../models/gemma3n/model.ts";
import {
  placeSoftTokens,
  type UnpaddedSequence,
  unpadSequences,
} from "../models/gemma3n/model_inputs.ts";
import { padHiddenStates, padLogits } from "../models/gemma3n/model_outputs.ts";
import type { SequenceCache } from "../models/gemma3n/sequence_cache.ts";
import { CallQueue } from "./call_queue.ts";
import { decoderOptions } from "./decoder_options.ts";
import { deviceFactory, resolveDtype } from "./devices.ts";
import { Gemma3nLanguageModel } from "./language_model.ts";
import {
  type ForwardOptions,
  type Gemma3nGenerateOptions,
  type Gemma3nInputs,
  type Gemma3nOutput,
  listCaches,
} from "./model_io.ts";
import { readConfig } from "./model_config.ts";
import { type ModelOptions, openSource, readJson } from "./model_options.ts";

/**
 * Gemma 3n: text, pictures and sound in, text out.
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
  readonly #runtime: Gemma3nRuntime;
  readonly #checkpoint: Checkpoint;
  readonly #languageModel: Gemma3nLanguageModel;
  readonly #queue = new CallQueue();
  readonly #warn: (warning: string) => void;
  #disposed = false;

  private constructor(
    runtime: Gemma3nRuntime,
    checkpoint: Checkpoint,
    generationConfig: GenerationConfig,
    warn: (warning: string) => void,
  ) {
    this.config = runtime.config;
    this.generationConfig = generationConfig;
    this.#runtime = runtime;
    this.#checkpoint = checkpoint;
    this.#languageModel = new Gemma3nLanguageModel(
      runtime.decoder,
      this.#queue,
    );
    this.#warn = warn;
  }

  /**
   * Checks a checkpoint and loads its decoder; the towers are read when a
   * picture or a clip first needs them.
   *
   * @param source Hub id, local directory, URL of a folder, or an object that opens files by name.
   * @throws {CheckpointError} When the checkpoint is damaged or incomplete.
   * @throws {UnsupportedError} When it needs something this version lacks.
   * @throws {DeviceError} When it does not fit into memory, with the figures.
   * @throws {HubError} When a file cannot be fetched.
   */
  static async fromPretrained(
    source: ModelSource,
    options: ModelOptions = {},
  ): Promise<Gemma3nForConditionalGeneration> {
    const { platform, files, warn } = await openSource(source, options);
    const { device = "auto", dtype = "auto", onProgress, signal } = options;
    const createDevice = deviceFactory(device, platform, options.wasmModule);
    const config = await readConfig(files);
    const generationJson = await readJson(files, "generation_config.json");
    const generationConfig = generationJson === undefined
      ? { eosTokenId: config.textConfig.eosTokenId }
      : parseGenerationConfig(generationJson, warn);
    if ((options.threads ?? 1) > 1) {
      warn(
        `Threads: ${options.threads} were asked for, this version computes with 1`,
      );
    }
    const checkpoint = await openCheckpoint(files);
    try {
      resolveDtype(dtype, checkpoint);
      const runtime = await Gemma3nRuntime.load({
        config,
        checkpoint,
        createDevice,
        decoder: decoderOptions(config, options),
        onWarning: warn,
      }, { onProgress, signal });
      return new Gemma3nForConditionalGeneration(
        runtime,
        checkpoint,
        generationConfig,
        warn,
      );
    } catch (error) {
      await checkpoint[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * Runs the model over a batch.
   *
   * @throws {InputError} When inputs do not fit together.
   * @throws {ContextLengthError} When a sequence does not fit.
   */
  forward(
    inputs: Gemma3nInputs,
    options: ForwardOptions = {},
  ): Promise<Gemma3nOutput> {
    return this.#run(() => this.#forward(inputs, options), options.signal);
  }

  /**
   * Continues each sequence of a batch until it ends. What the options leave
   * out comes from `generationConfig`.
   *
   * @throws {InputError} When inputs or options cannot be used.
   * @throws {ContextLengthError} When a sequence does not fit.
   */
  async generate(options: Gemma3nGenerateOptions): Promise<GenerateResult> {
    const {
      inputIds,
      attentionMask,
      tokenTypeIds: _tokenTypeIds,
      pixelValues,
      inputFeatures,
      inputFeaturesMask,
      pastKeyValues,
      ...generation
    } = options;
    const inputs = {
      inputIds,
      attentionMask,
      pixelValues,
      inputFeatures,
      inputFeaturesMask,
    };
    const { signal } = generation;
    const caches = listCaches(pastKeyValues, inputIds.shape[0] ?? 0);
    const whole = unpadSequences(inputIds, attentionMask);
    const fresh = whole.map(({ ids, columns }, i) => {
      const cached = caches?.[i]?.length ?? 0;
      return { ids: ids.subarray(cached), columns: columns.subarray(cached) };
    });
    const sequences = await this.#run(
      async () => (await this.#softTokens(inputs, fresh, signal)).sequences,
      signal,
    );
    const prompts = sequences.map(({ soft }, i) => ({
      inputIds: whole[i]!.ids,
      soft,
      cache: caches?.[i],
    }));
    return await generate(this.#languageModel, prompts, {
      onWarning: this.#warn,
      ...generation,
      generationConfig: this.generationConfig,
    });
  }

  /**
   * Soft tokens of pictures, `[N, 3, H, W]` -> `[N, S, D]`.
   *
   * @throws {UnsupportedError} When the checkpoint has no vision tower.
   */
  getImageFeatures(
    pixelValues: HostTensor<"float32">,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<HostTensor<"float32">> {
    return this.#run(
      () => this.#runtime.imageFeatures(pixelValues, { signal }),
      signal,
    );
  }

  /**
   * Soft tokens of clips before they are padded to the slots of a prompt:
   * features `[C, F, 128]` and their mask `[C, F]` (1 = valid) ->
   * `{ features [C, S, D], mask [C, S] }`.
   *
   * @throws {UnsupportedError} When the checkpoint has no audio tower.
   */
  getAudioFeatures(
    inputFeatures: HostTensor<"float32">,
    inputFeaturesMask: HostTensor<"uint8">,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<AudioFeaturesOutput> {
    return this.#run(
      () =>
        this.#runtime.audioFeatures(inputFeatures, inputFeaturesMask, {
          signal,
        }),
      signal,
    );
  }

  /**
   * Makes the cache of a sequence, of at most `maxLength` tokens (default: the
   * model's `contextLength`).
   *
   * @throws {ContextLengthError} When `maxLength` is more than the `contextLength`.
   * @throws {DeviceError} When no room is left for another cache.
   */
  createCache(
    { maxLength }: { readonly maxLength?: number | undefined } = {},
  ): SequenceCache {
    this.#checkAlive();
    return this.#runtime.decoder.createCache(maxLength);
  }

  /** Waits for running calls, then gives all memory back and closes the files. */
  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.#queue.idle();
    await this.#runtime[Symbol.asyncDispose]();
    await this.#checkpoint[Symbol.asyncDispose]();
  }

  /** Disposes the model at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #run<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    this.#checkAlive();
    return this.#queue.run(call, signal);
  }

  #checkAlive(): void {
    if (this.#disposed) {
      throw new InputError(
        "Cannot use the model: it was disposed; load it again",
      );
    }
  }

  async #forward(
    inputs: Gemma3nInputs,
    options: ForwardOptions,
  ): Promise<Gemma3nOutput> {
    const { pastKeyValues, logitsToKeep = 0, signal } = options;
    const { outputHiddenStates = false } = options;
    const T = inputs.inputIds.shape[1] ?? 0;
    const firstColumn = logitsToKeep > 0 ? Math.max(0, T - logitsToKeep) : 0;
    const unpadded = unpadSequences(inputs.inputIds, inputs.attentionMask);
    const caches = listCaches(pastKeyValues, unpadded.length);
    const { sequences, image, audio } = await this.#softTokens(
      inputs,
      unpadded,
      signal,
    );
    const { decoder } = this.#runtime;
    const temporary: SequenceCache[] = [];
    try {
      const decoderInputs = sequences.map(({ ids, columns, soft }, i) => {
        const cache = caches?.[i] ?? decoder.createCache(ids.length);
        if (caches === undefined) temporary.push(cache);
        const keep = columns.filter((column) => column >= firstColumn).length;
        return { cache, ids, soft, keep } satisfies DecoderInput;
      });
      const outputs = await decoder.run(decoderInputs, {
        signal,
        outputHiddenStates,
      });
      const batch = { sequences, outputs, columns: T };
      return {
        logits: padLogits(batch, firstColumn, this.config.textConfig),
        ...(pastKeyValues && { pastKeyValues }),
        ...(outputHiddenStates && {
          hiddenStates: padHiddenStates(batch, this.config.textConfig),
        }),
        ...(image && { imageHiddenStates: image }),
        ...(audio && { audioHiddenStates: audio }),
      };
    } finally {
      for (const cache of temporary) cache.dispose();
    }
  }

  async #softTokens(
    inputs: Gemma3nInputs,
    sequences: readonly Pick<UnpaddedSequence, "ids" | "columns">[],
    signal: AbortSignal | undefined,
  ): Promise<{
    sequences: UnpaddedSequence[];
    image: HostTensor<"float32"> | undefined;
    audio: HostTensor<"float32"> | undefined;
  }> {
    const { pixelValues, inputFeatures, inputFeaturesMask } = inputs;
    if (inputFeatures !== undefined && inputFeaturesMask === undefined) {
      throw new InputError(
        "Cannot run the model: inputFeatures came without inputFeaturesMask; pass both, as the processor gives them",
      );
    }
    const runtime = this.#runtime;
    const image = pixelValues &&
      await runtime.imageFeatures(pixelValues, { signal });
    const audio = inputFeatures && inputFeaturesMask &&
      await runtime.padAudioFeatures(
        await runtime.audioFeatures(inputFeatures, inputFeaturesMask, {
          signal,
        }),
        signal,
      );
    const placed = placeSoftTokens(sequences, { image, audio }, this.config);
    return { sequences: placed, image, audio };
  }
}
