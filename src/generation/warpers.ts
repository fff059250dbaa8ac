// Processors that shape the distribution when sampling: temperature, and the
// filters that forbid unlikely ids. Semantics are those of Transformers' logits warpers with `min_tokens_to_keep` 1.
import type { LogitsProcessor } from "./logits_processor.ts";
import {
  bitsOf,
  kthLargest,
  maximum,
  nucleusBorder,
  orderedKey,
} from "./selection.ts";

/** Divides the logits by a temperature above 0. */
export function applyTemperature(temperature: number): LogitsProcessor {
  const divisor = Math.fround(temperature);
  return (logits) => {
    for (let i = 0; i < logits.length; i++) logits[i] = logits[i]! / divisor;
  };
}

/** Forbids what is below the `k`-th largest logit; its equals all stay. */
export function keepTopK(k: number): LogitsProcessor {
  return (logits) => {
    forbidBelow(logits, kthLargest(logits, Math.min(k, logits.length)));
  };
}

/**
 * Keeps the smallest set of largest logits that holds a share `p` of the
 * softmax. Of equals at the border the lower ids go first, as in a stable
 * ascending sort; PyTorch leaves open which.
 */
export function keepTopP(p: number): LogitsProcessor {
  return (logits) => {
    const max = maximum(logits);
    if (!Number.isFinite(max)) return; // left for the choice to report
    const border = nucleusBorder(logits, p, max);
    const bits = bitsOf(logits);
    let excluded = border.excluded;
    for (let i = 0; i < bits.length; i++) {
      const key = orderedKey(bits[i]!);
      if (key > border.key) continue;
      if (key < border.key || excluded-- > 0) logits[i] = -Infinity;
    }
  };
}

/** Forbids ids less likely than `minP` times the likeliest one. */
export function keepMinP(minP: number): LogitsProcessor {
  const distance = Math.log(minP);
  return (logits) => forbidBelow(logits, maximum(logits) + distance);
}

function forbidBelow(logits: Float32Array, threshold: number): void {
  for (let i = 0; i < logits.length; i++) {
    if (logits[i]! < threshold) logits[i] = -Infinity;
  }
}
