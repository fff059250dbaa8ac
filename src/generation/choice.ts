// Choosing a token from processed logits: the largest, or a sample by
// Gumbel-max, which needs no softmax and no order of evaluation.
import { DeviceError, InputError } from "../core/errors.ts";
import {
  gumbel,
  MAX_GUMBEL,
  type NoiseKey,
  uniformNoise,
} from "../core/random.ts";

// Well above the rounding of exp and log, well below the spacing of uniforms.
const UNIFORM_MARGIN = 1e-12;

/**
 * Index of the largest logit, the first of equals.
 *
 * @throws {DeviceError} When there is a NaN.
 * @throws {InputError} When every id is forbidden.
 */
export function argmax(logits: Float32Array): number {
  let best = -Infinity;
  let index = -1;
  for (let i = 0; i < logits.length; i++) {
    const logit = logits[i]!;
    if (logit > best) {
      best = logit;
      index = i;
    } else if (logit !== logit) {
      throw new DeviceError(
        `Cannot choose a token: the logit of id ${i} is NaN; try another device or dtype`,
      );
    }
  }
  if (index < 0) {
    throw new InputError(
      "Cannot choose a token: every id is forbidden; relax `suppressTokens`, `badWordsIds`, `logitBias` or your logits processors",
    );
  }
  return index;
}

/**
 * Checks an id that the model chose.
 *
 * @throws {DeviceError} When it could choose none.
 */
export function requireChosen(id: number): void {
  if (id >= 0) return;
  throw new DeviceError(
    "Cannot choose a token: a logit is NaN, or all are -Infinity; try another device or dtype",
  );
}

/**
 * A sample from softmax(logits): the argmax of logits + Gumbel noise, the first
 * of equals. A pure function of logits and key.
 *
 * @throws {DeviceError} When there is a NaN.
 * @throws {InputError} When every id is forbidden.
 */
export function sampleToken(logits: Float32Array, key: NoiseKey): number {
  const noise = uniformNoise(key);
  let index = argmax(logits);
  const max = logits[index]!;
  let best = max + gumbel(noise(index));
  // Few ids can still win: the noise has an upper end, and even with the largest
  // logit it takes a uniform above `least`. That saves most of the logarithms.
  let least = leastUniform(best - max);
  for (let i = 0; i < logits.length; i++) {
    if (logits[i]! + MAX_GUMBEL < best) continue;
    const u = noise(i);
    if (u < least) continue;
    const value = logits[i]! + gumbel(u);
    if (value > best || (value === best && i < index)) {
      best = value;
      index = i;
      least = leastUniform(best - max);
    }
  }
  return index;
}

/** A uniform below which {@link gumbel} is less than `noise`. */
function leastUniform(noise: number): number {
  return Math.exp(-Math.exp(-noise)) - UNIFORM_MARGIN;
}
