// Angles of the rotary embedding, made on the host for each step.
import type { Device } from "../../ops/device.ts";
import type { Tensor } from "../../ops/ops.ts";
import type { Gemma3nTextConfig, LayerType } from "./config.ts";

/** Cosines and sines for the rows of a step, `[T, H/2]` each, parts of one tensor. */
export interface RopeTables {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** Tables of each layer type. */
export type RopeByLayerType = Readonly<Record<LayerType, RopeTables>>;

/** Rows after which angles are computed anew, so that no rounding adds up. */
const TURNED_ROWS = 64;

type Frequencies = Readonly<Record<LayerType, Float32Array>>;

/** What every step of a model needs. */
const knownFrequencies = new WeakMap<Gemma3nTextConfig, Frequencies>();

/**
 * Uploads the tables of both layer types for rows at `positions`.
 *
 * Frequencies and angles are rounded to float32 as Transformers' are: at
 * position 4000 the rounding of an angle moves its cosine by 1e-4.
 */
export function ropeTables(
  device: Device,
  config: Gemma3nTextConfig,
  positions: Int32Array,
): RopeByLayerType {
  const frequencies = frequenciesOf(config);
  return {
    sliding_attention: tables(device, frequencies.sliding_attention, positions),
    full_attention: tables(device, frequencies.full_attention, positions),
  };
}

function frequenciesOf(config: Gemma3nTextConfig): Frequencies {
  const known = knownFrequencies.get(config);
  if (known) return known;
  const { headDim, ropeParameters } = config;
  const of = (type: LayerType) =>
    inverseFrequencies(headDim, ropeParameters[type].ropeTheta);
  const made = {
    sliding_attention: of("sliding_attention"),
    full_attention: of("full_attention"),
  };
  knownFrequencies.set(config, made);
  return made;
}

function tables(
  device: Device,
  inverse: Float32Array,
  positions: Int32Array,
): RopeTables {
  const half = inverse.length;
  const both = new Float32Array(2 * positions.length * half);
  const cos = both.subarray(0, both.length / 2);
  const sin = both.subarray(both.length / 2);
  const step = positions.length > 1
    ? pairsOf(inverse, Math.cos, Math.sin)
    : undefined;
  let pairs: Float64Array = new Float64Array(2 * half);
  for (let t = 0; t < positions.length; t++) {
    const position = positions[t]!;
    const follows = position === positions[t - 1]! + 1;
    if (step && follows && t % TURNED_ROWS !== 0) turn(pairs, step);
    else {
      pairs = pairsOf(
        inverse,
        (frequency) => Math.cos(position * frequency),
        (frequency) => Math.sin(position * frequency),
      );
    }
    for (let i = 0, at = t * half; i < half; i++, at++) {
      const angle = position * inverse[i]!;
      const rounding = Math.fround(angle) - angle;
      const shrink = 1 - rounding * rounding / 2;
      const c = pairs[2 * i]!;
      const s = pairs[2 * i + 1]!;
      cos[at] = c * shrink - s * rounding;
      sin[at] = s * shrink + c * rounding;
    }
  }
  const table = device.upload(both, [2, positions.length, half]);
  return { cos: device.ops.at(table, 0), sin: device.ops.at(table, 1) };
}

/** Two numbers of each frequency, one behind the other. */
function pairsOf(
  frequencies: Float32Array,
  first: (frequency: number) => number,
  second: (frequency: number) => number,
): Float64Array {
  const pairs = new Float64Array(2 * frequencies.length);
  frequencies.forEach((frequency, i) => {
    pairs[2 * i] = first(frequency);
    pairs[2 * i + 1] = second(frequency);
  });
  return pairs;
}

/** Turns angles, as cosine and sine, by others; tables take a third of the time of `Math.cos()`. */
function turn(pairs: Float64Array, by: Float64Array): void {
  for (let i = 0; i < pairs.length; i += 2) {
    const c = pairs[i]!;
    const s = pairs[i + 1]!;
    const byCos = by[i]!;
    const bySin = by[i + 1]!;
    pairs[i] = c * byCos - s * bySin;
    pairs[i + 1] = s * byCos + c * bySin;
  }
}

/** `theta^(-2i / H)` for i in 0 .. H/2, in float32. */
export function inverseFrequencies(
  headDim: number,
  theta: number,
): Float32Array {
  return Float32Array.from(
    { length: headDim / 2 },
    (_, i) => 1 / Math.fround(theta ** Math.fround(2 * i / headDim)),
  );
}
