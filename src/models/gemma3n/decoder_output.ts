// What a run of the decoder gives, gathered from its steps by sequence.
import type { Gemma3nConfig } from "./config.ts";
import type { ScheduledStep } from "./step_schedule.ts";

/** What a run gives for one sequence. */
export interface DecoderOutput {
  /** Logits `[keep, V]` or last hidden states `[keep, D]`, as asked for. */
  readonly kept: Float32Array;
  /** `[A, T, D]` before each layer and after the last, when asked for. */
  readonly hiddenStates: readonly Float32Array[];
}

/** What the collector needs of each sequence. */
export interface CollectedInput {
  readonly ids: Int32Array;
  readonly keep: number;
}

/** Gathers the outputs of steps by sequence. */
export class OutputCollector {
  /** One for each sequence, complete after the last step. */
  readonly outputs: { kept: Float32Array; hiddenStates: Float32Array[] }[];
  readonly #inputs: readonly CollectedInput[];
  readonly #config: Gemma3nConfig;
  readonly #width: number;
  readonly #filled: number[];

  /** Makes room for the outputs of `inputs`, `width` values for each kept row. */
  constructor(
    config: Gemma3nConfig,
    inputs: readonly CollectedInput[],
    width: number,
  ) {
    this.#width = width;
    this.#inputs = inputs;
    this.#config = config;
    this.#filled = inputs.map(() => 0);
    this.outputs = inputs.map(({ ids, keep }) => ({
      kept: new Float32Array(Math.min(keep, ids.length) * width),
      hiddenStates: [],
    }));
  }

  /** Adds the kept rows of a step, `[keep, width]`. */
  addKept(step: ScheduledStep, rows: Float32Array): void {
    const width = this.#width;
    step.keepInput.forEach((input, row) => {
      const values = rows.subarray(row * width, (row + 1) * width);
      this.outputs[input]!.kept.set(values, this.#filled[input]! * width);
      this.#filled[input]!++;
    });
  }

  /** Adds `[A, rows, D]` of each layer to the `[A, T, D]` of each sequence. */
  addHiddenStates(step: ScheduledStep, states: readonly Float32Array[]): void {
    const { altupNumInputs: A, hiddenSize: D } = this.#config.textConfig;
    states.forEach((values, layer) => {
      for (const { input, first, segment } of step.parts) {
        const T = this.#inputs[input]!.ids.length;
        const out = this.outputs[input]!.hiddenStates[layer] ??=
          new Float32Array(A * T * D);
        for (let a = 0; a < A; a++) {
          const from = (a * step.rows + segment.firstRow) * D;
          const part = values.subarray(from, from + segment.rows * D);
          out.set(part, (a * T + first) * D);
        }
      }
    });
  }
}
