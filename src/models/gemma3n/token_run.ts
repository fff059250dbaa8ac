// Several tokens of some sequences, each chosen by the device and fed to the
// next step there, before the host hears of any.
import type {
  ChooseInput,
  ChooseOptions,
  DecoderSteps,
} from "./decoder_step.ts";

/** Instead of an id, where the host must choose. */
const UNDECIDED = -2;

/** Options of {@link runTokens}. */
export interface TokenRunOptions extends ChooseOptions {
  /** Most sequences of a step. */
  readonly rows: number;
}

/**
 * Feeds an id to each sequence, then what the device chooses, `count` ids in
 * all; gives the ids chosen after each, as many for every sequence. They are
 * fewer where the device has chosen what it cannot embed (an id of the vision
 * or audio vocabulary) or nothing at all (-1): that is the last one then. What
 * it could not decide ends them, too, and leaves no id: there may be none.
 */
export async function runTokens(
  steps: DecoderSteps,
  inputs: readonly ChooseInput[],
  count: number,
  { rows, ...options }: TokenRunOptions,
): Promise<Int32Array[]> {
  for (const { cache } of inputs) cache.reserve(count);
  const ids = inputs.map(() => new Int32Array(count));
  for (let first = 0; first < inputs.length; first += rows) {
    const group = inputs.slice(first, first + rows);
    const chosen = await steps.choose(group, count, options);
    chosen.forEach((id, i) => {
      const step = Math.floor(i / group.length);
      ids[first + i % group.length]![step] = id;
    });
  }
  const good = Math.min(
    ...ids.map((chosen) => usable(chosen, steps.textVocabSize)),
  );
  return inputs.map(({ cache, id }, i) => {
    const chosen = ids[i]!.subarray(0, good);
    const fed = Int32Array.of(id, ...chosen).subarray(0, good);
    cache.advance(fed);
    return chosen;
  });
}

/** How many of the chosen ids hold. */
function usable(chosen: Int32Array, textVocabSize: number): number {
  const last = chosen.findIndex((id) => id < 0 || id >= textVocabSize);
  if (last < 0) return chosen.length;
  return chosen[last] === UNDECIDED ? last : last + 1;
}
