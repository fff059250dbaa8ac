// The softmax inside the attention operations.

/** Turns the first `count` scores into weights that sum to 1, in place. */
export function softmax(scores: Float64Array, count: number): void {
  let largest = -Infinity;
  for (let s = 0; s < count; s++) largest = Math.max(largest, scores[s]!);
  let sum = 0;
  for (let s = 0; s < count; s++) {
    scores[s] = Math.exp(scores[s]! - largest);
    sum += scores[s]!;
  }
  for (let s = 0; s < count; s++) scores[s]! /= sum;
}
