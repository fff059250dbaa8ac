// Records a step of the decoder: from the tokens of its rows to hidden states
// and logits, or to the ids that the device chooses.
import type { NoiseKey, TokenSampling } from "../../core/random.ts";
import type { Device } from "../../ops/device.ts";
import type { Ops, Tensor } from "../../ops/ops.ts";
import type { Gemma3nConfig } from "./config.ts";
import type { PerLayerEmbeddings } from "./per_layer_inputs.ts";
import { ropeTables } from "./rope.ts";
import type { SequenceCache } from "./sequence_cache.ts";
import type { ScheduledStep } from "./step_schedule.ts";
import {
  textLogits,
  textModel,
  type TextStep,
  type TextStepOutput,
} from "./text_model.ts";
import type { TextWeights } from "./text_weights.ts";
import {
  embedChosenTokens,
  embedTokens,
  type HardEmbedders,
} from "./token_embeddings.ts";

/** Where the decoder's values are. */
export interface DecoderParts {
  readonly device: Device;
  readonly config: Gemma3nConfig;
  readonly weights: TextWeights;
  readonly hard: HardEmbedders | undefined;
  readonly table: PerLayerEmbeddings;
}

/** Tokens of a step's rows, as the host knows them. */
export interface HostTokens {
  readonly ids: Int32Array;
  /** Soft token of each row that has one, D values. */
  readonly soft: readonly (Float32Array | undefined)[];
  /** `[rows, L * P]`; `undefined` where the device has the table. */
  readonly tableRows: Float32Array | undefined;
}

/** Tokens that the device has chosen, one a row: those of a slot. */
export interface ChosenTokens {
  readonly slot: number;
}

/** What is recorded of a step. */
export interface StepValues {
  readonly tokens: HostTokens | ChosenTokens;
  /** Stores of each part's sequence. */
  readonly stores: readonly SequenceCache["stores"][];
}

/** How a step is recorded. */
export interface RecordOptions {
  readonly fastPrefill: boolean;
  readonly outputHiddenStates: boolean;
}

/** How a step that ends with a choice is recorded. */
export interface ChoiceOptions {
  readonly fastPrefill: boolean;
  /** Where the chosen ids go. */
  readonly slot: number;
  /** To sample, with a key for each row; else the likeliest is chosen. */
  readonly noise?:
    | { readonly keys: readonly NoiseKey[]; readonly sampling: TokenSampling }
    | undefined;
}

/** Records steps. */
export class StepRecorder {
  readonly #parts: DecoderParts;

  /** Records on the device of a decoder's parts. */
  constructor(parts: DecoderParts) {
    this.#parts = parts;
  }

  /** Records a step as far as its hidden states. */
  step(
    step: ScheduledStep,
    { tokens, stores }: StepValues,
    { fastPrefill, outputHiddenStates }: RecordOptions,
  ): TextStepOutput {
    const { device, weights, config } = this.#parts;
    const { textConfig } = config;
    const positions = new Int32Array(step.rows);
    for (const { segment } of step.parts) {
      for (let i = 0; i < segment.rows; i++) {
        positions[segment.firstRow + i] = segment.firstPosition + i;
      }
    }
    const { embeds, tableRows } = "slot" in tokens
      ? this.#lookUpChosen(tokens.slot, step.rows)
      : this.#lookUp(tokens);
    const values: TextStep = {
      embeds,
      tableRows,
      segments: step.parts.map((part) => part.segment),
      stores,
      rope: ropeTables(device, textConfig, positions),
      keep: step.keep,
      fastPrefill: fastPrefill && !outputHiddenStates,
      outputHiddenStates,
    };
    // One token, as decoding has it again and again.
    const isToken = step.rows === 1 && step.keep.length === 1;
    return isToken && !outputHiddenStates && device.ops.repeat
      ? {
        hidden: this.#repeatToken(device.ops.repeat, values),
        hiddenStates: [],
      }
      : textModel(device.ops, weights, textConfig, values);
  }

  /** The hidden state `[1, D]` of a step of one row; all it depends on comes with the cache. */
  #repeatToken(repeat: NonNullable<Ops["repeat"]>, step: TextStep): Tensor {
    const { device, weights, config } = this.#parts;
    const { embeds, tableRows, segments, stores, rope } = step;
    const tables = Object.values(rope).flatMap(({ cos, sin }) => [cos, sin]);
    return repeat(
      stores[0]!,
      [embeds, tableRows, ...tables],
      () => textModel(device.ops, weights, config.textConfig, step).hidden!,
      segments,
    );
  }

  /** Records a step of one row a sequence, and that the device chooses what follows. */
  choice(
    step: ScheduledStep,
    values: StepValues,
    { fastPrefill, slot, noise }: ChoiceOptions,
  ): void {
    const options = { fastPrefill, outputHiddenStates: false };
    const { hidden } = this.step(step, values, options);
    const tokens = this.#parts.device.tokens!;
    const logits = this.logits(hidden!);
    if (noise) tokens.sample(logits, slot, noise.keys, noise.sampling);
    else tokens.argmax(logits, slot);
  }

  /** Records a step of one row a sequence, and which ids are the likeliest to follow: `[rows]`. */
  likeliest(
    step: ScheduledStep,
    values: StepValues,
    fastPrefill: boolean,
  ): Tensor {
    const options = { fastPrefill, outputHiddenStates: false };
    const { hidden } = this.step(step, values, options);
    return this.#parts.device.ops.argmax!(this.logits(hidden!));
  }

  /** `[rows, D]` -> `[rows, V]` */
  logits(hidden: Tensor): Tensor {
    const { device, weights, config } = this.#parts;
    return textLogits(device.ops, weights, config.textConfig, hidden);
  }

  /** Embeds tokens: `[rows, D]`. */
  embed({ ids, soft }: Pick<HostTokens, "ids" | "soft">): Tensor {
    const { device, weights, hard, config } = this.#parts;
    return embedTokens(device, weights, hard, config, ids, soft);
  }

  /** Calls `record`; a step that cannot be recorded must not stay half in the queue. */
  whole<T>(record: () => T): T {
    try {
      return record();
    } catch (error) {
      this.#parts.device.discard();
      throw error;
    }
  }

  #lookUp(tokens: HostTokens): Pick<TextStep, "embeds" | "tableRows"> {
    const { device, table } = this.#parts;
    return {
      embeds: this.embed(tokens),
      tableRows: table.record(device, tokens.ids, tokens.tableRows),
    };
  }

  #lookUpChosen(
    slot: number,
    rows: number,
  ): Pick<TextStep, "embeds" | "tableRows"> {
    const { device, weights, config, table } = this.#parts;
    const tokens = device.tokens!;
    return {
      embeds: embedChosenTokens(tokens, weights, config, slot, rows),
      tableRows: tokens.embedding(table.weight!, slot, rows, table.scale),
    };
  }
}
