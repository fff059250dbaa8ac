// Steps of the decoder on its device: recorded, run, and their logits or the
// chosen ids brought back.
import type { NoiseKey, TokenSampling } from "../../core/random.ts";
import { planChoice, type PlanOptions, planStep } from "./step_plans.ts";
import type { SequenceCache } from "./sequence_cache.ts";
import {
  type ChosenTokens,
  type DecoderParts,
  type HostTokens,
  StepRecorder,
} from "./step_recorder.ts";
import { type ScheduledStep, scheduleSteps } from "./step_schedule.ts";
import type { TextStepOutput } from "./text_model.ts";
import { type SoftTokens, textVocabSize } from "./token_embeddings.ts";

/** What a step needs of each sequence. */
export interface StepInput {
  readonly cache: SequenceCache;
  readonly ids: Int32Array;
  readonly soft?: SoftTokens | undefined;
}

/** What {@link DecoderSteps.choose} needs of each sequence. */
export interface ChooseInput {
  readonly cache: SequenceCache;
  /** The id to feed. */
  readonly id: number;
  /** Noise of its samples; the step is the position. */
  readonly noise?: Omit<NoiseKey, "step"> | undefined;
}

/** Options of {@link DecoderSteps.choose}. */
export interface ChooseOptions {
  readonly fastPrefill: boolean;
  /** To sample, with the noise of every input; else the likeliest is chosen. */
  readonly sampling?: TokenSampling | undefined;
  readonly signal?: AbortSignal | undefined;
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

/** What a step gives. */
export interface StepOutput {
  /** What was asked for of the kept rows. */
  readonly kept: Float32Array;
  /** `[A, rows, D]` before each layer and after the last, when asked for. */
  readonly hiddenStates: readonly Float32Array[];
}

/** Logits brought back in one step, in bytes: 31 rows of the real vocabulary. */
const LOGITS_BYTES = 32 * 1024 * 1024;

/** Records and runs steps. */
export class DecoderSteps {
  readonly #parts: DecoderParts;
  readonly #recorder: StepRecorder;

  /** Runs on the parts of a decoder. */
  constructor(parts: DecoderParts) {
    this.#parts = parts;
    this.#recorder = new StepRecorder(parts);
  }

  /** Runs one step for the sequences it names. */
  async run(
    inputs: readonly StepInput[],
    step: ScheduledStep,
    options: StepOptions,
  ): Promise<StepOutput> {
    const ids = new Int32Array(step.rows);
    const soft: (Float32Array | undefined)[] = [];
    for (const { input, first, segment } of step.parts) {
      const { ids: all, soft: tokens } = inputs[input]!;
      ids.set(all.subarray(first, first + segment.rows), segment.firstRow);
      for (let i = 0; i < segment.rows; i++) {
        soft.push(tokens && this.#softRow(tokens, first + i));
      }
    }
    const tableRows = await this.#readTableRows(ids, options.signal);
    const stores = step.parts.map(({ input }) => inputs[input]!.cache.stores);
    const tokens = { ids, soft, tableRows };
    const output = this.#recorder.whole(() =>
      this.#recorder.step(step, { tokens, stores }, options)
    );
    return await this.#finish(output, step.keep.length, options);
  }

  /**
   * Runs `count` steps of one token for each sequence and lets the device
   * choose what follows: `[count, inputs]`. A step takes what the one before
   * it has chosen, without waiting for it.
   */
  async choose(
    inputs: readonly ChooseInput[],
    count: number,
    options: ChooseOptions,
  ): Promise<Float32Array> {
    const { device } = this.#parts;
    if (device.tokens === undefined) return this.#likeliest(inputs, options);
    const { fastPrefill, sampling, signal } = options;
    const recorder = this.#recorder;
    const rows = inputs.length;
    const stores = inputs.map(({ cache }) => cache.stores);
    const first = await this.#feed(inputs, signal);
    for (let slot = 1;; slot++) {
      const step = nextTokens(inputs, slot - 1);
      const tokens = slot === 1 ? first : { slot: slot - 1 };
      const isLast = slot === count;
      const noise = sampling && {
        sampling,
        // The token after the one that is fed.
        keys: inputs.map(({ cache, noise }) => ({
          ...noise!,
          step: cache.length + slot,
        })),
      };
      const chosen = recorder.whole(() => {
        const options = { fastPrefill, slot, noise };
        recorder.choice(step, { tokens, stores }, options);
        return isLast ? [device.tokens!.chosen(rows)] : [];
      });
      if (isLast) {
        const [values] = await device.read(chosen, { signal });
        return values!.subarray(rows, (count + 1) * rows);
      }
      await device.submit({ signal });
    }
  }

  /** {@link choose} of one token, on a device that cannot go on from it: `[1, inputs]`. */
  async #likeliest(
    inputs: readonly ChooseInput[],
    { fastPrefill, signal }: ChooseOptions,
  ): Promise<Float32Array> {
    const recorder = this.#recorder;
    const tokens = await this.#feed(inputs, signal);
    const stores = inputs.map(({ cache }) => cache.stores);
    const step = nextTokens(inputs, 0);
    const chosen = recorder.whole(() =>
      recorder.likeliest(step, { tokens, stores }, fastPrefill)
    );
    const [ids] = await this.#parts.device.read([chosen], { signal });
    return ids!;
  }

  /** Embeds one id of the audio or vision vocabulary by the hard path: D values. */
  async hardEmbedding(id: number, signal?: AbortSignal): Promise<Float32Array> {
    const ids = Int32Array.of(id);
    const embeds = this.#recorder.embed({ ids, soft: [undefined] });
    const [values] = await this.#parts.device.read([embeds], { signal });
    return values!;
  }

  /** Plans a step of `sequences[i]` rows of each sequence, of which `keep` are wanted. */
  plan(
    sequences: readonly number[],
    keep: number,
    options: PlanOptions & { readonly outputHiddenStates?: boolean },
  ): void {
    const kept = sequences.reduce((sum, rows) => sum + Math.min(keep, rows), 0);
    planStep(this.#parts, this.#recorder, {
      outputHiddenStates: false,
      ...options,
      sequences,
      keep,
      logits: kept <= this.logitsRows,
    });
  }

  /** Plans {@link choose} for so many sequences. */
  planChoice(sequences: number, options: PlanOptions): void {
    planChoice(this.#parts, this.#recorder, sequences, options);
  }

  /** Ids below this are embedded by the decoder's tables alone. */
  get textVocabSize(): number {
    return textVocabSize(this.#parts.hard, this.#parts.config);
  }

  /** Most rows whose logits there are in one step. */
  get logitsRows(): number {
    const rowBytes = 4 * this.#parts.config.textConfig.vocabSize;
    return Math.max(1, Math.floor(LOGITS_BYTES / rowBytes));
  }

  /**
   * Tokens of the first of the steps in which the device chooses. Where the
   * device can look them up itself they lie in the slot before the first, so
   * that this step has the very commands of those that follow.
   */
  async #feed(
    inputs: readonly ChooseInput[],
    signal: AbortSignal | undefined,
  ): Promise<HostTokens | ChosenTokens> {
    const { device, table } = this.#parts;
    const ids = Int32Array.from(inputs, ({ id }) => id);
    if (table.weight && ids.every((id) => id < this.textVocabSize)) {
      device.tokens!.write(ids, 0);
      return { slot: 0 };
    }
    const soft = inputs.map(() => undefined);
    return { ids, soft, tableRows: await this.#readTableRows(ids, signal) };
  }

  async #readTableRows(
    ids: Int32Array,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array | undefined> {
    const { table } = this.#parts;
    if (table.weight !== undefined) return undefined;
    const rows = await table.read(ids, signal);
    signal?.throwIfAborted();
    return rows;
  }

  async #finish(
    { hidden, hiddenStates }: TextStepOutput,
    rows: number,
    { output, signal }: Pick<StepOptions, "output" | "signal">,
  ): Promise<StepOutput> {
    const { device } = this.#parts;
    if (hidden === undefined) {
      if (hiddenStates.length === 0) {
        // The next part of the prompt is recorded meanwhile.
        await device.submit({ signal });
        return { kept: new Float32Array(0), hiddenStates: [] };
      }
      const states = await device.read(hiddenStates, { signal });
      return { kept: new Float32Array(0), hiddenStates: states };
    }
    // All logits of many rows would not fit beside everything else.
    const fits = rows <= this.logitsRows;
    const asLogits = output === "logits";
    const wanted = asLogits && fits ? this.#recorder.logits(hidden) : hidden;
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
      const logits = this.#recorder.logits(device.upload(part, [count, D]));
      const [values] = await device.read([logits], { signal });
      out.set(values!, first * V);
    }
    return out;
  }

  #softRow(tokens: SoftTokens, token: number): Float32Array | undefined {
    const D = this.#parts.config.textConfig.hiddenSize;
    const row = tokens.rows[token]!;
    return row < 0 ? undefined : tokens.data.subarray(row * D, (row + 1) * D);
  }
}

/** A step of one token for each sequence, after so many that are not in its cache yet. */
function nextTokens(
  inputs: readonly ChooseInput[],
  ahead: number,
): ScheduledStep {
  const [step] = scheduleSteps(
    inputs.map(({ cache }) => ({
      pastLength: cache.length + ahead,
      newTokens: 1,
      keep: 1,
    })),
    inputs.length,
  );
  return step!;
}
