// Rows of logits for tests.
import { gumbel, uniformNoise } from "../../src/core/random.ts";

/** V of the real models. */
export const VOCAB_SIZE = 262400;

/** Pseudo-random logits with two-sided tails (a difference of two Gumbels is logistic). */
export function logisticRow(
  length: number,
  seed: number,
  scale: number,
): Float32Array {
  const noise = uniformNoise({
    seed: Math.round(seed * 100),
    step: 0,
    stream: 0,
  });
  return Float32Array.from(
    { length },
    (_, i) => scale * (gumbel(noise(2 * i)) - gumbel(noise(2 * i + 1))),
  );
}
