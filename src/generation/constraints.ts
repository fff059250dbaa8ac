// Processors that forbid ids: suppressed tokens, an early end, repeated n-grams.
import type { LogitsProcessor } from "./logits_processor.ts";

/** Forbids these ids; those beyond the vocabulary are ignored, as in Transformers. */
export function suppressTokens(ids: readonly number[]): LogitsProcessor {
  return (logits) => {
    for (const id of ids) if (id < logits.length) logits[id] = -Infinity;
  };
}

/** Forbids the end-of-sequence ids until there are `count` new tokens. */
export function requireNewTokens(
  count: number,
  eosTokenId: readonly number[],
): LogitsProcessor {
  const suppress = suppressTokens(eosTokenId);
  return (logits, context) => {
    const newTokens = context.inputIds.length - context.promptLength;
    if (newTokens < count) suppress(logits, context);
  };
}

/** Forbids every id that would complete an n-gram already in prompt or text. */
export function forbidRepeatedNgrams(size: number): LogitsProcessor {
  return (logits, { inputIds }) => {
    const tail = inputIds.length - (size - 1);
    for (let start = 0; start + size <= inputIds.length; start++) {
      let same = 0;
      while (
        same < size - 1 && inputIds[start + same] === inputIds[tail + same]
      ) {
        same++;
      }
      const next = inputIds[start + size - 1]!;
      if (same === size - 1 && next < logits.length) logits[next] = -Infinity;
    }
  };
}
