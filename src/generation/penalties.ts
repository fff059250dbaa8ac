// Processors that shift logits: biases of ids and sequences, repetition,
// presence and frequency penalties. Scalars are rounded to float32 first, as
// PyTorch does, so that results are the same to the bit.
import { InputError } from "../core/errors.ts";
import type { LogitsProcessor } from "./logits_processor.ts";

/** Ids and what is added to the last one's logit where the others precede it. */
export type SequenceBias = readonly [ids: readonly number[], bias: number];

/**
 * Adds a bias to the last id of a sequence wherever its other ids are the last
 * ones of the text; a sequence of one id always counts.
 *
 * As in Transformers, a longer sequence needs a text of at least its own length.
 *
 * @throws {InputError} When an id is not in a vocabulary of `vocabSize`.
 */
export function biasSequences(
  biases: readonly SequenceBias[],
  vocabSize: number,
): LogitsProcessor {
  const beyond = biases.flatMap(([ids]) => ids).find((id) => id >= vocabSize);
  if (beyond !== undefined) {
    throw new InputError(
      `Cannot bias or forbid the token id ${beyond}: the vocabulary has ${vocabSize} ids`,
    );
  }
  return (logits, { inputIds }) => {
    // Biases of one id add up before they are added, in float32.
    const sums = new Map<number, number>();
    for (const [ids, bias] of biases) {
      if (ids.length > 1 && !endsWith(inputIds, ids)) continue;
      const last = ids[ids.length - 1]!;
      sums.set(last, Math.fround((sums.get(last) ?? 0) + Math.fround(bias)));
    }
    for (const [id, bias] of sums) logits[id] = logits[id]! + bias;
  };
}

/** Whether all of `ids` but the last are the end of `text`, and `text` is as long as `ids`. */
function endsWith(text: Int32Array, ids: readonly number[]): boolean {
  if (ids.length > text.length) return false;
  const start = text.length - (ids.length - 1);
  for (let i = 0; i < ids.length - 1; i++) {
    if (text[start + i] !== ids[i]) return false;
  }
  return true;
}

/**
 * Makes ids of the prompt and of the new text less likely, once each: positive
 * logits are divided by `penalty`, negative ones multiplied.
 */
export function penalizeRepetition(penalty: number): LogitsProcessor {
  const factor = Math.fround(penalty);
  const seen = new IdCounts();
  return (logits, { inputIds }) => {
    seen.forEach(inputIds, logits.length, (id) => {
      const logit = logits[id]!;
      logits[id] = logit < 0 ? logit * factor : logit / factor;
    });
  };
}

/**
 * Lowers the logit of each id of the new text by `presence`, and by `frequency`
 * for every time it occurs; the prompt does not count. As in the OpenAI API.
 */
export function penalizeCounts(
  presence: number,
  frequency: number,
): LogitsProcessor {
  const seen = new IdCounts();
  return (logits, { inputIds, promptLength }) => {
    seen.forEach(
      inputIds.subarray(promptLength),
      logits.length,
      (id, count) => {
        logits[id] = logits[id]! - presence - frequency * count;
      },
    );
  };
}

/** Counts ids in an array that lives as long as the processor, so that a step allocates nothing. */
class IdCounts {
  #counts = new Int32Array(0);

  /** Visits each id below `vocabSize` once, with how often it occurs. */
  forEach(
    ids: Int32Array,
    vocabSize: number,
    visit: (id: number, count: number) => void,
  ): void {
    if (this.#counts.length !== vocabSize) {
      this.#counts = new Int32Array(vocabSize);
    }
    const counts = this.#counts;
    for (const id of ids) if (id < vocabSize) counts[id]!++;
    for (const id of ids) {
      if (id >= vocabSize || counts[id] === 0) continue;
      visit(id, counts[id]!);
      counts[id] = 0;
    }
  }
}
