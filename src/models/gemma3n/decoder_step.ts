// One step of the decoder on its device: recorded from host values, run, and
// its logits brought back.
import type { Device } from "../../ops/device.ts";
import type { KvSpec, Tensor } from "../../ops/ops.ts";
import type { Gemma3nConfig } from "./config.ts";
import type { PerLayerEmbeddings } from "./per_layer_inputs.ts";
import { ropeTables } from "./rope.ts";
import type { SequenceCache } from "./sequence_cache.ts";
import { type ScheduledStep, scheduleSteps } from "./step_schedule.ts";
import { textLogits, textModel, type TextStepOutput } from "./text_model.ts";
import type { TextWeights } from "./text_weights.ts";
import {
  embedTokens,
  type HardEmbedders,
  type SoftTokens,
} from "./token_embeddings.ts";

/** What a step needs of each sequence. */
export interface StepInput {
  readonly cache: SequenceCache;
  readonly ids: Int32Array;
  readonly soft?: SoftTokens | undefined;
}

/** What a step gives for its kept rows: `[rows, V]` or, after the last norm, `[rows, D]`. */
export type StepResult = "logits" | "lastHiddenState";

/** Options of a step. */
export interface StepOptions {
  readonly fastPrefill: boolean;
  readonly outputHiddenStates: boolean;
  readonly output: StepResult;
  readonly signal?: AbortSignal | undefined;
}

/** Host values of a step's rows. */
interface StepValues {
  readonly ids: Int32Array;
  /** Soft token of each row that has one, D values. */
  readonly soft: readonly (Float32Array | undefined)[];
  /** `[rows, L * P]` */
  readonly tableRows: Float32Array;
  /** Stores of each part's sequence. */
  readonly stores: readonly SequenceCache["stores"][];
}

/** What a step gives. */
export interface StepOutput {
  /** What was asked for of the kept rows. */
  readonly kept: Float32Array;
  /** `[A, rows, D]` before each layer and after the last, when asked for. */
  readonly hiddenStates: readonly Float32Array[];
}

/** Where the decoder's values are. */
export interface DecoderParts {
  readonly device: Device;
  readonly config: Gemma3nConfig;
  readonly weights: TextWeights;
  readonly hard: HardEmbedders | undefined;
  readonly table: PerLayerEmbeddings;
}

/** Logits brought back in one step, in bytes: 31 rows of the real vocabulary. */
const LOGITS_BYTES = 32 * 1024 * 1024;

/** Records and runs steps. */
export class DecoderSteps {
  readonly #parts: DecoderParts;

  /** Runs on the parts of a decoder. */
  constructor(parts: DecoderParts) {
    this.#parts = parts;
  }

  /** Runs one step for the sequences it names. */
  async run(
    inputs: readonly StepInput[],
    step: ScheduledStep,
    options: StepOptions,
  ): Promise<StepOutput> {
    const { device, table } = this.#parts;
    const { signal } = options;
    const ids = new Int32Array(step.rows);
    const soft: (Float32Array | undefined)[] = [];
    for (const { input, first, segment } of step.parts) {
      const { ids: all, soft: tokens } = inputs[input]!;
      ids.set(all.subarray(first, first + segment.rows), segment.firstRow);
      for (let i = 0; i < segment.rows; i++) {
        soft.push(tokens && this.#softRow(tokens, first + i));
      }
    }
    const tableRows = await table.rows(ids, signal);
    signal?.throwIfAborted();
    const stores = step.parts.map(({ input }) => inputs[input]!.cache.stores);
    let output: TextStepOutput;
    try {
      output = this.#record(step, { ids, soft, tableRows, stores }, options);
    } catch (error) {
      // A step that cannot be recorded must not stay half in the queue.
      device.discard();
      throw error;
    }
    return await this.#finish(output, step.keep.length, options);
  }

  /** Embeds one id of the audio or vision vocabulary by the hard path: D values. */
  async hardEmbedding(id: number, signal?: AbortSignal): Promise<Float32Array> {
    const embeds = this.#embed(Int32Array.of(id), [undefined]);
    const [values] = await this.#parts.device.read([embeds], { signal });
    return values!;
  }

  /**
   * Plans a step of `sequences[i]` rows of each sequence, of which `keep` are
   * wanted, at the end of full caches of these sizes.
   *
   * Once with text alone and once with every kind of embedding: the vision and
   * audio vocabularies pass through the width of their towers, which may be the
   * widest there is.
   */
  plan(
    sequences: readonly number[],
    keep: number,
    specs: readonly KvSpec[],
    options: Omit<StepOptions, "output"> & { readonly contextLength: number },
  ): void {
    const { device, config } = this.#parts;
    const { textConfig, visionConfig, audioConfig } = config;
    const { numHiddenLayers, hiddenSizePerLayerInput, hiddenSize } = textConfig;
    const inputs = sequences.map((newTokens) => ({
      pastLength: options.contextLength - newTokens,
      newTokens,
      keep,
    }));
    const rows = sequences.reduce((sum, count) => sum + count, 0);
    const [step] = scheduleSteps(inputs, rows);
    const text = new Int32Array(rows);
    const mixed = new Int32Array(rows).fill(visionConfig?.vocabOffset ?? 0);
    if (rows > 2) mixed.set([0, 0, audioConfig?.vocabOffset ?? 0]);
    const softRow = new Float32Array(hiddenSize);
    const tableRows = new Float32Array(
      rows * numHiddenLayers * hiddenSizePerLayerInput,
    );
    for (const ids of [text, mixed]) {
      const soft = Array.from(
        ids,
        (_, t) => ids === mixed && t === 1 ? softRow : undefined,
      );
      device.plan(() => {
        const caches = specs.map((spec) => device.createKvStore(spec));
        const stores = sequences.map(() => caches);
        const values = { ids, soft, tableRows, stores };
        const { hidden, hiddenStates } = this.#record(step!, values, options);
        const fits = step!.keep.length <= this.logitsRows;
        return [fits ? this.#logits(hidden!) : hidden!, ...hiddenStates];
      });
    }
  }

  /** Most rows whose logits come back in one step. */
  get logitsRows(): number {
    const rowBytes = 4 * this.#parts.config.textConfig.vocabSize;
    return Math.max(1, Math.floor(LOGITS_BYTES / rowBytes));
  }

  #record(
    step: ScheduledStep,
    { ids, soft, tableRows, stores }: StepValues,
    { fastPrefill, outputHiddenStates }: Omit<StepOptions, "output">,
  ): TextStepOutput {
    const { device, weights, config } = this.#parts;
    const { textConfig } = config;
    const positions = new Int32Array(step.rows);
    for (const { segment } of step.parts) {
      for (let i = 0; i < segment.rows; i++) {
        positions[segment.firstRow + i] = segment.firstPosition + i;
      }
    }
    const width = tableRows.length / step.rows;
    return textModel(device.ops, weights, textConfig, {
      embeds: this.#embed(ids, soft),
      tableRows: device.upload(tableRows, [step.rows, width]),
      segments: step.parts.map((part) => part.segment),
      stores,
      rope: ropeTables(device, textConfig, positions),
      keep: step.keep,
      fastPrefill: fastPrefill && !outputHiddenStates,
      outputHiddenStates,
    });
  }

  async #finish(
    { hidden, hiddenStates }: TextStepOutput,
    rows: number,
    { output, signal }: Pick<StepOptions, "output" | "signal">,
  ): Promise<StepOutput> {
    const { device } = this.#parts;
    if (hidden === undefined) {
      const states = await device.read(hiddenStates, { signal });
      return { kept: new Float32Array(0), hiddenStates: states };
    }
    // All logits of many rows would not fit beside everything else.
    const fits = rows <= this.logitsRows;
    const asLogits = output === "logits";
    const wanted = asLogits && fits ? this.#logits(hidden) : hidden;
    const [values, ...states] = await device.read([wanted, ...hiddenStates], {
      signal,
    });
    return {
      kept: asLogits && !fits
        ? await this.#logitsInBlocks(values!, rows, signal)
        : values!,
      hiddenStates: states,
    };
  }

  async #logitsInBlocks(
    hidden: Float32Array,
    rows: number,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array> {
    const { device, config } = this.#parts;
    const { hiddenSize: D, vocabSize: V } = config.textConfig;
    const out = new Float32Array(rows * V);
    for (let first = 0; first < rows; first += this.logitsRows) {
      const count = Math.min(this.logitsRows, rows - first);
      const part = hidden.subarray(first * D, (first + count) * D);
      const logits = this.#logits(device.upload(part, [count, D]));
      const [values] = await device.read([logits], { signal });
      out.set(values!, first * V);
    }
    return out;
  }

  #logits(hidden: Tensor): Tensor {
    const { device, weights, config } = this.#parts;
    return textLogits(device.ops, weights, config.textConfig, hidden);
  }

  #embed(ids: Int32Array, soft: StepValues["soft"]): Tensor {
    const { device, weights, hard, config } = this.#parts;
    return embedTokens(device, weights, hard, config, ids, soft);
  }

  #softRow(tokens: SoftTokens, token: number): Float32Array | undefined {
    const D = this.#parts.config.textConfig.hiddenSize;
    const row = tokens.rows[token]!;
    return row < 0 ? undefined : tokens.data.subarray(row * D, (row + 1) * D);
  }
}
