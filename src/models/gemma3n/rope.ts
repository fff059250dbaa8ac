// Angles of the rotary embedding, made on the host for each step.
import type { Device } from "../../ops/device.ts";
import type { Tensor } from "../../ops/ops.ts";
import type { Gemma3nTextConfig, LayerType } from "./config.ts";

/** Cosines and sines for the rows of a step, `[T, H/2]` each. */
export interface RopeTables {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** Tables of each layer type. */
export type RopeByLayerType = Readonly<Record<LayerType, RopeTables>>;

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
  const cos = new Float32Array(positions.length * half);
  const sin = new Float32Array(positions.length * half);
  for (let t = 0; t < positions.length; t++) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(positions[t]! * inverse[i]!);
      cos[t * half + i] = Math.cos(angle);
      sin[t * half + i] = Math.sin(angle);
    }
  }
  const shape = [positions.length, half];
  return { cos: device.upload(cos, shape), sin: device.upload(sin, shape) };
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
