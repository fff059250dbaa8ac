// Counter-based random numbers: the value for (seed, step, token id) is a pure
// function, so that every device, batch and order of evaluation samples alike.
// Philox-4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3".

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const ROUNDS = 10;

/** Largest seed: integers up to here are exact. */
export const MAX_SEED: number = Number.MAX_SAFE_INTEGER;

/** High 32 bits of the product of two unsigned 32-bit integers. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  // Neither sum exceeds 32 bits, so that `| 0` keeps engines at integers.
  const middle = (Math.imul(aHigh, bLow) + (Math.imul(aLow, bLow) >>> 16)) | 0;
  const carry = (Math.imul(aLow, bHigh) + (middle & 0xffff)) | 0;
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (carry >>> 16)) | 0;
}

/**
 * One block of Philox-4x32-10: four 32-bit words that are a function of a
 * 128-bit counter and a 64-bit key.
 *
 * @param counter Four words; replaced by the result.
 * @param key0 Low word of the key.
 * @param key1 High word of the key.
 */
export function philox4x32(
  counter: Uint32Array,
  key0: number,
  key1: number,
): void {
  let c0 = counter[0]! | 0;
  let c1 = counter[1]! | 0;
  let c2 = counter[2]! | 0;
  let c3 = counter[3]! | 0;
  let k0 = key0 | 0;
  let k1 = key1 | 0;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(c0, MULTIPLIER_0);
    const high1 = multiplyHigh(c2, MULTIPLIER_1);
    const low0 = Math.imul(c0, MULTIPLIER_0);
    const low1 = Math.imul(c2, MULTIPLIER_1);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + WEYL_0) | 0;
    k1 = (k1 + WEYL_1) | 0;
  }
  counter[0] = c0;
  counter[1] = c1;
  counter[2] = c2;
  counter[3] = c3;
}

/** A 32-bit word as a number in the open interval (0, 1): never 0, never 1. */
export function wordToUniform(word: number): number {
  return (word + 0.5) * 2 ** -32;
}

/** Largest value {@link gumbel} can give for a word: -log(-log(1 - 2^-33)), rounded up. */
export const MAX_GUMBEL = 22.88;

/** A uniform number in (0, 1) as a sample of the standard Gumbel distribution; grows with `u`. */
export function gumbel(u: number): number {
  return -Math.log(-Math.log(u));
}

/** From which ids a token is sampled, and how evenly. */
export interface TokenSampling {
  /** Above 0; logits are divided by it. */
  readonly temperature: number;
  /** Only the k likeliest ids; 0 for all. */
  readonly topK: number;
  /** Only the likeliest of these that together have this share; 1 for all. */
  readonly topP: number;
}

/** What the noise of one choice depends on besides the token id. */
export interface NoiseKey {
  /** Integer in 0..{@link MAX_SEED}. */
  readonly seed: number;
  /** Position in the sequence of the token to choose. */
  readonly step: number;
  /** Which of several continuations of one prompt. */
  readonly stream: number;
}

/**
 * Noise per token id, uniform in (0, 1).
 *
 * The argmax of logits + {@link gumbel} noise is a sample from softmax(logits),
 * and stays the same sample when other ids are filtered away. Ids 4i..4i+3
 * share a block: asking in ascending order is fastest.
 */
export function uniformNoise(key: NoiseKey): (id: number) => number {
  const key0 = key.seed >>> 0;
  const key1 = Math.floor(key.seed / 2 ** 32);
  const words = new Uint32Array(4);
  let block = -1;
  return (id) => {
    if (id >>> 2 !== block) {
      block = id >>> 2;
      words[0] = block;
      words[1] = key.step;
      words[2] = key.stream;
      words[3] = 0;
      philox4x32(words, key0, key1);
    }
    return wordToUniform(words[id & 3]!);
  };
}

/** A fresh seed from the platform's random source, in 0..2^53-1. */
export function randomSeed(): number {
  const words = crypto.getRandomValues(new Uint32Array(2));
  return (words[1]! & 0x1fffff) * 2 ** 32 + words[0]!;
}
