// A language model without weights: the logits after an id are a row of a
// table. It records what it is asked and checks the rules of CausalLm.
import assert from "node:assert/strict";
import type {
  CausalLm,
  LmCallOptions,
  LmPrompt,
  Prefilled,
  PrefillRequest,
  StepInput,
  TokenChooser,
} from "../../src/generation/causal_lm.ts";
import type { NoiseKey, TokenSampling } from "../../src/core/random.ts";
import { argmax, sampleToken } from "../../src/generation/choice.ts";
import {
  applyTemperature,
  keepTopK,
  keepTopP,
} from "../../src/generation/warpers.ts";

/** Ids fed so far. */
export class TableSequence {
  readonly ids: number[] = [];
  readonly maxLength: number;

  constructor(maxLength: number) {
    this.maxLength = maxLength;
  }

  get length(): number {
    return this.ids.length;
  }
}

/** Options of {@link TableLm}. */
export interface TableLmOptions {
  /** Default 64. */
  contextLength?: number;
  /** Runs at the start of each call, `step` counting from 0 for prefill. */
  onCall?: (step: number) => void;
  /** Most ids that it chooses itself in a call; it chooses none unless given. */
  chooses?: number;
}

/** Logits are `table[last id]`. */
export class TableLm implements CausalLm<LmPrompt, TableSequence> {
  readonly vocabSize: number;
  readonly contextLength: number;
  /** Sequences that are open now. */
  readonly open: Set<TableSequence> = new Set();
  /** Ids of sequences that were released, in that order. */
  readonly released: number[][] = [];
  /** Sequences in each call: prefill, then steps. */
  readonly batchSizes: number[] = [];
  /** Ids chosen in each call that let it choose. */
  readonly chosenCounts: number[] = [];
  /** Ids after which it cannot tell what to sample. */
  readonly undecided = new Set<number>();
  readonly chooser: TokenChooser<TableSequence> | undefined;
  readonly #table: readonly Float32Array[];
  readonly #onCall: (step: number) => void;

  constructor(table: readonly Float32Array[], options: TableLmOptions = {}) {
    this.#table = table;
    this.vocabSize = table[0]!.length;
    this.contextLength = options.contextLength ?? 64;
    this.#onCall = options.onCall ?? (() => {});
    if (options.chooses !== undefined) {
      this.chooser = this.#chooser(options.chooses);
    }
  }

  async prefill(
    requests: readonly PrefillRequest[],
    options: LmCallOptions = {},
  ): Promise<Prefilled<TableSequence>[]> {
    await this.#call(requests.length, options);
    return requests.map(({ prompt, maxLength }) => {
      const sequence = new TableSequence(maxLength);
      this.open.add(sequence);
      return { sequence, logits: this.#feed(sequence, [...prompt.inputIds]) };
    });
  }

  async step(
    inputs: readonly StepInput<TableSequence>[],
    options: LmCallOptions = {},
  ): Promise<Float32Array[]> {
    await this.#call(inputs.length, options);
    return inputs.map(({ sequence, ids }) => {
      assert.ok(this.open.has(sequence), "stepped after release");
      assert.equal(ids.length, 1);
      return this.#feed(sequence, ids);
    });
  }

  release(sequences: readonly TableSequence[]): void {
    for (const sequence of sequences) {
      assert.ok(this.open.delete(sequence), "released twice");
      this.released.push(sequence.ids);
    }
  }

  #chooser(most: number): TokenChooser<TableSequence> {
    return {
      most,
      canSample: ({ topK }) => topK > 0,
      choose: async (inputs, count, options = {}) => {
        assert.ok(count >= 1 && count <= most, `asked for ${count} ids`);
        await this.#call(inputs.length, options);
        const ids = inputs.map(({ sequence, id, noise }) => {
          assert.ok(this.open.has(sequence), "stepped after release");
          const chosen: number[] = [];
          while (chosen.length < count && id >= 0) {
            if (options.sampling && this.undecided.has(id)) break;
            const logits = this.#feed(sequence, [id]);
            id = logits.some(Number.isNaN)
              ? -1
              : this.#sample(sequence, logits, noise, options.sampling);
            chosen.push(id);
          }
          return chosen;
        });
        const fewest = Math.min(...ids.map((chosen) => chosen.length));
        this.chosenCounts.push(fewest);
        inputs.forEach(({ sequence }, i) => {
          sequence.ids.length -= ids[i]!.length - fewest;
        });
        return ids.map((chosen) => Int32Array.from(chosen.slice(0, fewest)));
      },
      takeBack: (sequence, count) => {
        assert.ok(this.open.has(sequence), "taken back after release");
        sequence.ids.length -= count;
      },
    };
  }

  #sample(
    { length: step }: TableSequence,
    logits: Float32Array,
    noise: Omit<NoiseKey, "step">,
    sampling: TokenSampling | undefined,
  ): number {
    if (!sampling) return argmax(logits);
    const { temperature, topK, topP } = sampling;
    const context = { inputIds: new Int32Array(0), promptLength: 0 };
    applyTemperature(temperature)(logits, context);
    keepTopK(topK)(logits, context);
    if (topP < 1) keepTopP(topP)(logits, context);
    return sampleToken(logits, { ...noise, step });
  }

  async #call(size: number, { signal }: LmCallOptions): Promise<void> {
    this.#onCall(this.batchSizes.length);
    this.batchSizes.push(size);
    await new Promise((resolve) => setTimeout(resolve, 0));
    signal?.throwIfAborted();
  }

  #feed(sequence: TableSequence, ids: readonly number[]): Float32Array {
    sequence.ids.push(...ids);
    assert.ok(sequence.length < sequence.maxLength, "longer than announced");
    return this.#table[ids[ids.length - 1]!]!.slice();
  }
}

/** A table that leads from each id to the next: 0, 1, 2, ... V - 1, 0. */
export function countingTable(vocabSize: number): Float32Array[] {
  return Array.from({ length: vocabSize }, (_, id) => {
    const row = new Float32Array(vocabSize);
    row[(id + 1) % vocabSize] = 5;
    return row;
  });
}

/** A prompt of these ids. */
export function prompt(...ids: number[]): LmPrompt {
  return { inputIds: Int32Array.from(ids) };
}
