// The text decoder on its device: weights, caches, and the run of one call's
// tokens through as many steps as they need.
import { decodeToFloat32 } from "../../core/dtype.ts";
import { ContextLengthError, InputError } from "../../core/errors.ts";
import type { Checkpoint } from "../../io/checkpoint.ts";
import {
  checkedTensor,
  CheckpointWeights,
  type LoadOptions,
} from "../../ops/checkpoint_weights.ts";
import type { Device } from "../../ops/device.ts";
import type { Tensor } from "../../ops/ops.ts";
import type { Gemma3nConfig } from "./config.ts";
import { type DecoderOutput, OutputCollector } from "./decoder_output.ts";
import { hardEmbedderWeights } from "./multimodal_embedder.ts";
import { PerLayerEmbeddings } from "./per_layer_inputs.ts";
import { ropeTables } from "./rope.ts";
import { kvSpecs, SequenceCache } from "./sequence_cache.ts";
import { type ScheduledStep, scheduleSteps } from "./step_schedule.ts";
import { textLogits, textModel, type TextStepOutput } from "./text_model.ts";
import {
  PER_LAYER_TABLE,
  type TextWeights,
  textWeights,
} from "./text_weights.ts";
import {
  embedTokens,
  type HardEmbedders,
  type SoftTokens,
} from "./token_embeddings.ts";

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
}

/** New tokens of one sequence. */
export interface DecoderInput {
  readonly cache: SequenceCache;
  readonly ids: Int32Array;
  readonly soft?: SoftTokens | undefined;
  /** How many of the last tokens' logits are wanted. */
  readonly keep: number;
}

/** Options of {@link Decoder.run}. */
export interface DecoderRunOptions {
  readonly signal?: AbortSignal | undefined;
  readonly outputHiddenStates?: boolean | undefined;
}

/** Logits brought back in one step, in bytes: 31 rows of the real vocabulary. */
const LOGITS_BYTES = 32 * 1024 * 1024;
/** Rows of a step that gives hidden states, which all live to its end. */
const HIDDEN_STATES_CHUNK = 16;

/** Where the parts of a checkpoint are. */
export interface DecoderNames {
  /** In front of the decoder's names, e.g. `model.language_model.`. */
  readonly text: string;
  /** In front of `embed_vision.` and `embed_audio.`, e.g. `model.`. */
  readonly model: string;
}

/** A loaded decoder. Calls must not overlap: the model queues them. */
export class Decoder {
  readonly config: Gemma3nConfig;
  readonly options: DecoderOptions;
  readonly #device: Device;
  readonly #weights: TextWeights;
  readonly #hard: HardEmbedders | undefined;
  readonly #table: PerLayerEmbeddings;
  readonly #loader: CheckpointWeights;

  /** Declares everything on the device, checking the checkpoint; nothing is read or allocated. */
  constructor(
    device: Device,
    checkpoint: Checkpoint,
    names: DecoderNames,
    config: Gemma3nConfig,
    options: DecoderOptions,
  ) {
    this.config = config;
    this.options = options;
    this.#device = device;
    const root = new CheckpointWeights(device, checkpoint);
    this.#loader = root;
    const { textConfig } = config;
    this.#weights = textWeights(root.scope(names.text), textConfig);
    this.#hard = hardEmbedders(root.scope(names.model), config);
    this.#table = perLayerTable(checkpoint, names.text, config);
    const specs = kvSpecs(
      textConfig,
      options.contextLength,
      options.prefillChunk,
    );
    for (let i = 0; i < options.maxBatchSize; i++) device.reserveKv(specs);
  }

  /** Names of the tensors the decoder loads or reads. */
  tensorNames(names: DecoderNames): string[] {
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
    const { prefillChunk, contextLength } = this.options;
    const chunk = Math.min(prefillChunk, contextLength);
    const hiddenChunk = Math.min(chunk, HIDDEN_STATES_CHUNK);
    const plan = (sequences: number[], keep: number, hiddenStates = false) =>
      this.#device.plan(() => this.#planStep(sequences, keep, hiddenStates));
    const separate = (rows: number) => Array<number>(rows).fill(1);
    plan([chunk], chunk);
    plan([chunk], Math.min(chunk, this.#logitsRows));
    plan(separate(chunk), 1);
    plan(separate(hiddenChunk), 1, true);
  }

  /** Makes the cache of a new sequence. */
  createCache(maxLength: number = this.options.contextLength): SequenceCache {
    const { contextLength, prefillChunk } = this.options;
    if (maxLength > contextLength) {
      throw new ContextLengthError(
        `Cannot make a cache of ${maxLength} tokens: the model was loaded with a contextLength of ${contextLength}; ` +
          "load it with a larger one, or ask for fewer tokens",
        { requested: maxLength, available: contextLength },
      );
    }
    const { textConfig } = this.config;
    return new SequenceCache(this.#device, textConfig, maxLength, prefillChunk);
  }

  /** Feeds tokens to sequences and gives the wanted rows' logits, in order. */
  async run(
    inputs: readonly DecoderInput[],
    options: DecoderRunOptions = {},
  ): Promise<DecoderOutput[]> {
    const V = this.config.textConfig.vocabSize;
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
    const collector = new OutputCollector(this.config, inputs);
    for (const step of steps) {
      for (const { input, segment } of step.parts) {
        inputs[input]!.cache.reserve(segment.rows);
      }
      const { logits, hiddenStates } = await this.#runStep(
        inputs,
        step,
        options,
      );
      for (const { input, segment } of step.parts) {
        inputs[input]!.cache.advance(segment.rows);
      }
      collector.addLogits(step, logits, V);
      collector.addHiddenStates(step, hiddenStates);
    }
    return collector.outputs;
  }

  /** Embeds one id of the audio or vision vocabulary by the hard path: D values. */
  async hardEmbedding(id: number, signal?: AbortSignal): Promise<Float32Array> {
    const ids = Int32Array.of(id);
    const embeds = this.#embed(ids, [undefined]);
    const [values] = await this.#device.read([embeds], { signal });
    return values!;
  }

  async #runStep(
    inputs: readonly DecoderInput[],
    step: ScheduledStep,
    { signal, outputHiddenStates = false }: DecoderRunOptions,
  ): Promise<{ logits: Float32Array; hiddenStates: Float32Array[] }> {
    const ids = new Int32Array(step.rows);
    const soft: (Float32Array | undefined)[] = [];
    for (const { input, first, segment } of step.parts) {
      const { ids: all, soft: tokens } = inputs[input]!;
      ids.set(all.subarray(first, first + segment.rows), segment.firstRow);
      for (let i = 0; i < segment.rows; i++) {
        soft.push(tokens && this.#softRow(tokens, first + i));
      }
    }
    const tableRows = await this.#table.rows(ids, signal);
    signal?.throwIfAborted();
    const stores = step.parts.map(({ input }) => inputs[input]!.cache.stores);
    const output = this.#recording(() =>
      this.#record(step, ids, soft, tableRows, stores, outputHiddenStates)
    );
    return await this.#finish(output, step.keep.length, signal);
  }

  // A step that cannot be recorded must not stay half in the queue.
  #recording<T>(record: () => T): T {
    try {
      return record();
    } catch (error) {
      this.#device.discard();
      throw error;
    }
  }

  #record(
    step: ScheduledStep,
    ids: Int32Array,
    soft: readonly (Float32Array | undefined)[],
    tableRows: Float32Array,
    stores: readonly SequenceCache["stores"][],
    outputHiddenStates: boolean,
  ): TextStepOutput {
    const device = this.#device;
    const { textConfig } = this.config;
    const positions = new Int32Array(step.rows);
    for (const { segment } of step.parts) {
      for (let i = 0; i < segment.rows; i++) {
        positions[segment.firstRow + i] = segment.firstPosition + i;
      }
    }
    return textModel(device.ops, this.#weights, textConfig, {
      embeds: this.#embed(ids, soft),
      tableRows: device.upload(tableRows, [
        step.rows,
        tableRows.length / step.rows,
      ]),
      segments: step.parts.map((p) => p.segment),
      stores,
      rope: ropeTables(device, textConfig, positions),
      keep: step.keep,
      fastPrefill: this.options.fastPrefill && !outputHiddenStates,
      outputHiddenStates,
    });
  }

  async #finish(
    { hidden, hiddenStates }: TextStepOutput,
    kept: number,
    signal: AbortSignal | undefined,
  ): Promise<{ logits: Float32Array; hiddenStates: Float32Array[] }> {
    const device = this.#device;
    if (hidden === undefined) {
      const states = await device.read(hiddenStates, { signal });
      return { logits: new Float32Array(0), hiddenStates: states };
    }
    if (kept <= this.#logitsRows) {
      const [logits, ...states] = await device.read(
        [this.#logits(hidden), ...hiddenStates],
        { signal },
      );
      return { logits: logits!, hiddenStates: states };
    }
    // Too many rows for the logits to stand in memory at once.
    const [values, ...states] = await device.read([hidden, ...hiddenStates], {
      signal,
    });
    return {
      logits: await this.#logitsInBlocks(values!, kept, signal),
      hiddenStates: states,
    };
  }

  async #logitsInBlocks(
    hidden: Float32Array,
    rows: number,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array> {
    const { hiddenSize: D, vocabSize: V } = this.config.textConfig;
    const out = new Float32Array(rows * V);
    for (let first = 0; first < rows; first += this.#logitsRows) {
      const count = Math.min(this.#logitsRows, rows - first);
      const part = hidden.subarray(first * D, (first + count) * D);
      const logits = this.#logits(this.#device.upload(part, [count, D]));
      const [values] = await this.#device.read([logits], { signal });
      out.set(values!, first * V);
    }
    return out;
  }

  #logits(hidden: Tensor): Tensor {
    const { ops } = this.#device;
    return textLogits(ops, this.#weights, this.config.textConfig, hidden);
  }

  get #logitsRows(): number {
    const rowBytes = 4 * this.config.textConfig.vocabSize;
    return Math.max(1, Math.floor(LOGITS_BYTES / rowBytes));
  }

  #embed(ids: Int32Array, soft: readonly (Float32Array | undefined)[]): Tensor {
    return embedTokens(
      this.#device,
      this.#weights,
      this.#hard,
      this.config,
      ids,
      soft,
    );
  }

  #softRow(tokens: SoftTokens, token: number): Float32Array | undefined {
    const D = this.config.textConfig.hiddenSize;
    const row = tokens.rows[token]!;
    return row < 0 ? undefined : tokens.data.subarray(row * D, (row + 1) * D);
  }

  // Every kind of embedding takes part; the vision and audio vocabularies pass
  // through the width of their towers, which may be the widest there is.
  #planStep(
    sequences: readonly number[],
    keep: number,
    outputHiddenStates: boolean,
  ): Tensor[] {
    const { textConfig, visionConfig, audioConfig } = this.config;
    const { contextLength, prefillChunk } = this.options;
    const inputs = sequences.map((newTokens) => ({
      pastLength: 0,
      newTokens,
      keep,
    }));
    const rows = sequences.reduce((sum, count) => sum + count, 0);
    const [step] = scheduleSteps(inputs, rows);
    const stores = kvSpecs(textConfig, contextLength, prefillChunk).map(
      (spec) => this.#device.createKvStore(spec),
    );
    const ids = new Int32Array(rows).fill(visionConfig?.vocabOffset ?? 0);
    if (rows > 2) ids.set([0, 0, audioConfig?.vocabOffset ?? 0]);
    const soft = Array.from(
      ids,
      (_, t) => t === 1 ? new Float32Array(textConfig.hiddenSize) : undefined,
    );
    const width = textConfig.numHiddenLayers *
      textConfig.hiddenSizePerLayerInput;
    const { hidden, hiddenStates } = this.#record(
      step!,
      ids,
      soft,
      new Float32Array(rows * width),
      sequences.map(() => stores),
      outputHiddenStates,
    );
    const kept = step!.keep.length;
    return [
      kept <= this.#logitsRows ? this.#logits(hidden!) : hidden!,
      ...hiddenStates,
    ];
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

function hardEmbedders(
  load: CheckpointWeights,
  config: Gemma3nConfig,
): HardEmbedders | undefined {
  const { visionConfig, audioConfig, textConfig } = config;
  if (visionConfig === undefined || audioConfig === undefined) return undefined;
  const D = textConfig.hiddenSize;
  return {
    vision: hardEmbedderWeights(load.scope("embed_vision."), visionConfig, D),
    audio: hardEmbedderWeights(load.scope("embed_audio."), audioConfig, D),
  };
}

function perLayerTable(
  checkpoint: Checkpoint,
  prefix: string,
  { textConfig }: Gemma3nConfig,
): PerLayerEmbeddings {
  const name = prefix + PER_LAYER_TABLE;
  const { dtype } = checkedTensor(checkpoint, name, [
    textConfig.vocabSizePerLayerInput,
    textConfig.numHiddenLayers * textConfig.hiddenSizePerLayerInput,
  ]);
  return new PerLayerEmbeddings(
    textConfig,
    async (row) =>
      decodeToFloat32(await checkpoint.readRows(name, row, 1), dtype),
  );
}
