// Log-probabilities of tokens, as the model gives them before any processing.
import { kthLargest, maximum } from "./selection.ts";

/** A token and its natural log-probability. */
export interface TokenLogprob {
  /** Token id. */
  readonly id: number;
  /** Natural logarithm of its probability, at most 0. */
  readonly logprob: number;
}

/** Log-probabilities at one step. */
export interface StepLogprobs {
  /** Of the chosen token. */
  readonly chosen: TokenLogprob;
  /** The likeliest tokens, likeliest first, lower ids first among equals. */
  readonly top: readonly TokenLogprob[];
}

/**
 * Log-softmax of `logits` `[V]` at the chosen id and at the `count` likeliest.
 *
 * @param logits Finite, as a model gives them.
 */
export function stepLogprobs(
  logits: Float32Array,
  chosenId: number,
  count: number,
): StepLogprobs {
  const max = maximum(logits);
  let total = 0;
  for (let i = 0; i < logits.length; i++) total += Math.exp(logits[i]! - max);
  const logTotal = max + Math.log(total);
  const entry = (id: number): TokenLogprob => ({
    id,
    logprob: logits[id]! - logTotal,
  });
  return { chosen: entry(chosenId), top: topIds(logits, count).map(entry) };
}

/** Ids of the largest logits, largest first, lower ids first among equals. */
function topIds(logits: Float32Array, count: number): number[] {
  const wanted = Math.min(count, logits.length);
  if (wanted === 0) return [];
  const threshold = kthLargest(logits, wanted);
  const above: number[] = [];
  const equal: number[] = [];
  for (let i = 0; i < logits.length; i++) {
    if (logits[i]! > threshold) above.push(i);
    else if (logits[i] === threshold && equal.length < wanted) equal.push(i);
  }
  above.sort((a, b) => logits[b]! - logits[a]! || a - b);
  return above.concat(equal).slice(0, wanted);
}
