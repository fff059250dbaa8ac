// Several tokens of some sequences, each chosen by the device and fed to the
// next step there, before the host hears of any.
import type { ChooseInput, DecoderSteps, StepOptions } from "./decoder_step.ts";

/** Options of {@link runTokens}. */
export interface TokenRunOptions
  extends Pick<StepOptions, "fastPrefill" | "signal"> {
  /** Most sequences of a step. */
  readonly rows: number;
  /** Ids below this can be fed where they were chosen. */
  readonly textVocabSize: number;
}

/**
 * Feeds an id to each sequence, then what the device chooses, `count` ids in
 * all; gives the ids chosen after each, as many for every sequence. They are
 * fewer where the device has chosen what it cannot embed (an id of the vision
 * or audio vocabulary) or nothing at all (-1): that is the last one then.
 */
export async function runTokens(
  steps: DecoderSteps,
  inputs: readonly ChooseInput[],
  count: number,
  { rows, textVocabSize, ...options }: TokenRunOptions,
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
  const fed = ids.map((chosen) =>
    chosen.findIndex((id) => id < 0 || id >= textVocabSize) + 1 || count
  );
  const good = Math.min(...fed);
  return inputs.map(({ cache, id }, i) => {
    const chosen = ids[i]!.subarray(0, good);
    cache.advance(Int32Array.of(id, ...chosen.subarray(0, good - 1)));
    return chosen;
  });
}
