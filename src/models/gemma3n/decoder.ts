// The text decoder on its device: weights, caches, and the run of one call's
// tokens through as many steps as they need.
import type { CacheDtype, WeightFormat } from "../../core/dtype.ts";
import {
  ContextLengthError,
  DeviceError,
  InputError,
} from "../../core/errors.ts";
import type { TokenSampling } from "../../core/random.ts";
import type { Checkpoint } from "../../io/checkpoint.ts";
import {
  CheckpointWeights,
  type LoadOptions,
} from "../../ops/checkpoint_weights.ts";
import type { Device } from "../../ops/device.ts";
import type { CheckpointNames } from "./checkpoint_names.ts";
import type { Gemma3nConfig } from "./config.ts";
import { type DecoderOutput, OutputCollector } from "./decoder_output.ts";
import { decoderParts } from "./decoder_parts.ts";
import {
  type ChooseInput,
  type ChooseOptions,
  DecoderSteps,
  type StepResult,
} from "./decoder_step.ts";
import { kvSpecs, SequenceCache } from "./sequence_cache.ts";
import { scheduleSteps } from "./step_schedule.ts";
import type { DecoderParts } from "./step_recorder.ts";
import { PER_LAYER_TABLE } from "./text_weights.ts";
import type { SoftTokens } from "./token_embeddings.ts";
import { runTokens } from "./token_run.ts";
import { weightFormats } from "./weight_formats.ts";

/** Sizes fixed when the decoder is loaded. */
export interface DecoderOptions {
  /** Most tokens of a sequence. */
  readonly contextLength: number;
  /** Sequences of full length there is room for. */
  readonly maxBatchSize: number;
  /** Most rows of a step. */
  readonly prefillChunk: number;
  /** Skip the KV-shared layers for rows whose output nobody wants. */
  readonly fastPrefill: boolean;
  /** How most weights are kept. */
  readonly dtype: WeightFormat;
  /** How keys and values are kept. */
  readonly cacheDtype: CacheDtype;
  /** Whether the per-layer table may be on a device that chooses tokens, or stays in its file. */
  readonly perLayerEmbeddings: "auto" | "file";
}

/** New tokens of one sequence. */
export interface DecoderInput {
  readonly cache: SequenceCache;
  readonly ids: Int32Array;
  readonly soft?: SoftTokens | undefined;
  /** How many of the last tokens' outputs are wanted. */
  readonly keep: number;
}

/** Options of {@link Decoder.run}. */
export interface DecoderRunOptions {
  readonly signal?: AbortSignal | undefined;
  readonly outputHiddenStates?: boolean | undefined;
  /** What is wanted of the kept tokens. Default `"logits"`. */
  readonly output?: StepResult | undefined;
}

/** Rows of a step that gives hidden states, which all live to its end. */
const HIDDEN_STATES_CHUNK = 16;
/** Most steps in a row whose tokens the device chooses. */
const CHOSEN_SLOTS = 16;

/** A loaded decoder. Calls must not overlap: the model queues them. */
export class Decoder {
  readonly config: Gemma3nConfig;
  readonly options: DecoderOptions;
  readonly #device: Device;
  readonly #steps: DecoderSteps;
  readonly #parts: DecoderParts;
  readonly #loader: CheckpointWeights;

  /** Declares everything on the device, checking the checkpoint; nothing is read or allocated. */
  constructor(
    device: Device,
    checkpoint: Checkpoint,
    names: CheckpointNames,
    config: Gemma3nConfig,
    options: DecoderOptions,
  ) {
    this.config = config;
    this.options = options;
    this.#device = device;
    const root = new CheckpointWeights(
      device,
      checkpoint,
      weightFormats(options.dtype),
    );
    this.#loader = root;
    this.#parts = decoderParts(
      device,
      checkpoint,
      names,
      config,
      root,
      // Only where tokens stay on the device is it worth the memory.
      device.tokens !== undefined && options.perLayerEmbeddings === "auto",
    );
    this.#steps = new DecoderSteps(this.#parts);
    // A slot more, for what is fed first.
    device.tokens?.reserve(1 + CHOSEN_SLOTS, this.#chosenRows);
    const specs = kvSpecs(
      config.textConfig,
      options.contextLength,
      options.prefillChunk,
      options.cacheDtype,
    );
    for (let i = 0; i < options.maxBatchSize; i++) device.reserveKv(specs);
  }

  /** Names of the tensors the decoder loads or reads. */
  tensorNames(names: CheckpointNames): string[] {
    return [...this.#loader.names(), names.text + PER_LAYER_TABLE];
  }

  /** Sizes and takes the memory, then reads the weights. */
  async load(options: LoadOptions = {}): Promise<void> {
    this.plan();
    await this.#device.allocate();
    await this.#loader.load(options);
  }

  /**
   * Sizes the memory of the largest steps there can be: a full chunk, of one
   * sequence or of as many as it has rows, with as many logits as come back
   * at once; and a chunk whose hidden states all live to the end. Part of
   * `load()`.
   */
  plan(): void {
    const { prefillChunk, contextLength, cacheDtype } = this.options;
    const { textConfig } = this.config;
    const chunk = Math.min(prefillChunk, contextLength);
    const hiddenChunk = Math.min(chunk, HIDDEN_STATES_CHUNK);
    const specs = kvSpecs(textConfig, contextLength, prefillChunk, cacheDtype);
    const planOptions = {
      fastPrefill: this.options.fastPrefill,
      contextLength,
      specs,
    };
    const plan = (
      sequences: number[],
      keep: number,
      outputHiddenStates = false,
    ) =>
      this.#steps.plan(sequences, keep, { ...planOptions, outputHiddenStates });
    const separate = (rows: number) => Array<number>(rows).fill(1);
    plan([chunk], chunk);
    plan([chunk], Math.min(chunk, this.#steps.logitsRows));
    plan([1], 1); // a device may have kernels for one row alone
    plan(separate(chunk), 1);
    plan(separate(hiddenChunk), 1, true);
    if (this.mostChosen > 0) {
      this.#steps.planChoice(this.#chosenRows, planOptions);
    }
  }

  /**
   * Makes the cache of a new sequence.
   *
   * @throws {InputError} When `maxLength` is no whole number of at least 1.
   * @throws {ContextLengthError} When it is more than the `contextLength`.
   * @throws {DeviceError} When no room is left.
   */
  createCache(maxLength: number = this.options.contextLength): SequenceCache {
    const { contextLength, prefillChunk } = this.options;
    if (!Number.isSafeInteger(maxLength) || maxLength < 1) {
      throw new InputError(
        `Cannot make a cache of ${maxLength} tokens: "maxLength" must be a whole number of at least 1`,
      );
    }
    if (maxLength > contextLength) {
      throw new ContextLengthError(
        `Cannot make a cache of ${maxLength} tokens: the model was loaded with a contextLength of ${contextLength}; ` +
          "load it with a larger one, or ask for fewer tokens",
        { requested: maxLength, available: contextLength },
      );
    }
    const { textConfig } = this.config;
    try {
      return new SequenceCache(
        this.#device,
        textConfig,
        maxLength,
        prefillChunk,
        this.options.cacheDtype,
      );
    } catch (cause) {
      if (!(cause instanceof DeviceError)) throw cause;
      throw new DeviceError(
        `Cannot make a cache of ${maxLength} tokens: there is room for ${this.options.maxBatchSize} sequences of ${contextLength}, and too little of it is free; ` +
          'dispose caches, or load the model with a larger "maxBatchSize"',
        { cause },
      );
    }
  }

  /** Feeds tokens to sequences and gives what is wanted of their kept rows, in order. */
  async run(
    inputs: readonly DecoderInput[],
    options: DecoderRunOptions = {},
  ): Promise<DecoderOutput[]> {
    const { output = "logits" } = options;
    const { vocabSize, hiddenSize } = this.config.textConfig;
    const width = output === "logits" ? vocabSize : hiddenSize;
    inputs.forEach((input) => this.#checkInput(input));
    if (new Set(inputs.map((input) => input.cache)).size < inputs.length) {
      throw new InputError(
        "Cannot run the model: two sequences of the batch have the same cache; give each its own",
      );
    }
    const chunk = options.outputHiddenStates
      ? Math.min(HIDDEN_STATES_CHUNK, this.options.prefillChunk)
      : this.options.prefillChunk;
    const steps = scheduleSteps(
      inputs.map(({ cache, ids, keep }) => ({
        pastLength: cache.length,
        newTokens: ids.length,
        keep,
      })),
      chunk,
    );
    const collector = new OutputCollector(this.config, inputs, width);
    for (const step of steps) {
      for (const { input, segment } of step.parts) {
        inputs[input]!.cache.reserve(segment.rows);
      }
      const { kept, hiddenStates } = await this.#steps.run(inputs, step, {
        output,
        fastPrefill: this.options.fastPrefill,
        outputHiddenStates: options.outputHiddenStates ?? false,
        signal: options.signal,
      });
      for (const { input, first, segment } of step.parts) {
        const { cache, ids } = inputs[input]!;
        cache.advance(ids.subarray(first, first + segment.rows));
      }
      collector.addKept(step, kept);
      collector.addHiddenStates(step, hiddenStates);
    }
    return collector.outputs;
  }

  /**
   * Most tokens of {@link choose}: 0 where the host must choose, 1 where the
   * device cannot feed what it has chosen.
   */
  get mostChosen(): number {
    const { tokens, ops } = this.#device;
    if (tokens === undefined) return ops.argmax === undefined ? 0 : 1;
    if (this.#parts.table.weight === undefined) return 1;
    // A cache can be cropped by a chunk.
    return Math.min(CHOSEN_SLOTS, this.options.prefillChunk);
  }

  /** Whether {@link choose} can sample so. */
  canSample(sampling: TokenSampling): boolean {
    return this.#device.tokens?.canSample(sampling) ?? false;
  }

  /**
   * Feeds one id to each sequence, then `count - 1` that the device chooses,
   * the likeliest or samples; gives the ids chosen, see {@link runTokens}.
   */
  async choose(
    inputs: readonly ChooseInput[],
    count: number,
    options: Omit<ChooseOptions, "fastPrefill"> = {},
  ): Promise<Int32Array[]> {
    for (const { cache, id } of inputs) {
      this.#checkInput({ cache, ids: Int32Array.of(id), keep: 1 });
    }
    return await runTokens(this.#steps, inputs, count, {
      rows: this.#chosenRows,
      fastPrefill: this.options.fastPrefill,
      ...options,
    });
  }

  /** Sequences of a step in which the device chooses. */
  get #chosenRows(): number {
    return Math.min(this.options.prefillChunk, this.#steps.logitsRows);
  }

  /** Embeds one id of the audio or vision vocabulary by the hard path: D values. */
  hardEmbedding(id: number, signal?: AbortSignal): Promise<Float32Array> {
    return this.#steps.hardEmbedding(id, signal);
  }

  #checkInput({ cache, ids }: DecoderInput): void {
    const V = this.config.textConfig.vocabSize;
    if (ids.length === 0) {
      throw new InputError(
        "Cannot run the model: a sequence has no new tokens",
      );
    }
    const bad = ids.find((id) => id < 0 || id >= V);
    if (bad !== undefined) {
      throw new InputError(
        `Cannot run the model: token ${bad} is outside its vocabulary of ${V}; use the tokenizer that comes with it`,
      );
    }
    const requested = cache.length + ids.length;
    if (requested > cache.maxLength) {
      throw new ContextLengthError(
        `Cannot extend the sequence to ${requested} tokens: its cache has room for ${cache.maxLength}; ` +
          "load the model with a larger contextLength, or shorten the prompt",
        { requested, available: cache.maxLength },
      );
    }
  }
}
