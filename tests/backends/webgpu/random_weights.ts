// Weights of a part of the model with random values.
import type { WeightFormat } from "../../../src/core/dtype.ts";
import { weightFormats } from "../../../src/models/gemma3n/weight_formats.ts";
import type { Device, WeightSpec } from "../../../src/ops/device.ts";
import type { Weight } from "../../../src/ops/ops.ts";
import type { WeightLoader } from "../../../src/ops/weight_loader.ts";
import { randomTensor } from "../../testing.ts";

/** Weights that were declared, to be filled. */
export type Declared = readonly [Weight, WeightSpec];

/** Declares weights in the formats of a model of `dtype`. */
export function loader(
  device: Device,
  dtype: WeightFormat,
  declared: Declared[],
  prefix = "",
): WeightLoader {
  const choose = weightFormats(dtype);
  return {
    weight(kind, name, shape, options) {
      const plain = { name: prefix + name, kind, shape, ...options };
      const spec = { ...plain, format: choose(plain, "bf16") };
      const weight = device.declareWeight(spec);
      declared.push([weight, spec]);
      return weight;
    },
    scope: (inner) => loader(device, dtype, declared, prefix + inner),
  };
}

/** Fills weights with values that depend on their order alone. */
export async function fill(
  device: Device,
  declared: readonly Declared[],
): Promise<void> {
  for (const [seed, [weight, { shape, kind }]] of declared.entries()) {
    const width = shape[1] ?? 1;
    const scale = kind === "vector" ? 1 : 2 / Math.sqrt(width);
    const { data } = randomTensor(shape, { seed, scale });
    await device.writeWeight(weight, {
      firstRow: 0,
      rows: shape[0]!,
      dtype: "f32",
      bytes: new Uint8Array(data.buffer),
    });
  }
}
