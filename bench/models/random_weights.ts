// Weights of any shape, made up on their way to a device: nothing is read from
// disk, and nothing is there twice.
import { FORMAT_BLOCKS, type WeightFormat } from "../../src/core/dtype.ts";
import { numel, type Shape } from "../../src/core/shape.ts";
import type { Gemma3nTextConfig } from "../../src/models/gemma3n/config.ts";
import { PerLayerEmbeddings } from "../../src/models/gemma3n/per_layer_inputs.ts";
import { PER_LAYER_TABLE } from "../../src/models/gemma3n/text_weights.ts";
import { weightFormats } from "../../src/models/gemma3n/weight_formats.ts";
import type { Device, WeightSpec } from "../../src/ops/device.ts";
import type { Weight } from "../../src/ops/ops.ts";
import type { WeightLoader } from "../../src/ops/weight_loader.ts";
import { quantize } from "../../src/quant/blocks.ts";

/** Weights that were declared, to be filled. */
export interface Declared {
  readonly weight: Weight;
  readonly spec: WeightSpec;
}

const CHUNK_BYTES = 16 * 2 ** 20;

/** Declares weights on a device in the formats of `dtype`, and remembers them in `declared`. */
export function declaringLoader(
  device: Device,
  declared: Declared[],
  dtype: WeightFormat,
  prefix = "",
): WeightLoader {
  const choose = weightFormats(dtype);
  return {
    weight(kind, name, shape, options) {
      const unformatted = {
        name: prefix + name,
        kind,
        shape,
        sparseInput: options?.sparseInput,
      };
      const format = choose(unformatted, "bf16");
      const spec = { ...unformatted, format };
      const weight = device.declareWeight(spec);
      declared.push({ weight, spec });
      return weight;
    },
    scope: (inner) => declaringLoader(device, declared, dtype, prefix + inner),
  };
}

/** A per-layer table that is on the device, as it is where there is room. */
export function perLayerTable(
  load: WeightLoader,
  config: Gemma3nTextConfig,
): PerLayerEmbeddings {
  const { vocabSizePerLayerInput, numHiddenLayers, hiddenSizePerLayerInput } =
    config;
  const weight = load.weight("matrix", PER_LAYER_TABLE, [
    vocabSizePerLayerInput,
    numHiddenLayers * hiddenSizePerLayerInput,
  ]);
  const read = () => Promise.reject(new Error("The table is on the device"));
  return new PerLayerEmbeddings(config, read, weight);
}

/**
 * Fills weights with the same random rows again and again, in which other blocks
 * change their signs each time: logits that are equal would leave every choice
 * to the host. Vectors are filled with ones.
 */
export async function fillWeights(
  device: Device,
  declared: readonly Declared[],
): Promise<void> {
  const rows = new Map<string, Uint8Array>();
  for (const { weight, spec } of declared) {
    const [count = 1] = spec.shape;
    const width = numel(spec.shape.slice(1));
    // Filters come as numbers: blocks of a row mix the places of a filter.
    const isFilter = numel(spec.shape.slice(2)) > 1;
    const format = isFilter ? "f32" : spec.format ?? "f32";
    const perWrite = Math.max(1, Math.floor(CHUNK_BYTES / (4 * width)));
    const most = Math.min(perWrite, count);
    const key = `${format},${width},${spec.kind}`;
    let bytes = rows.get(key);
    if (!bytes || bytes.length < rowBytes(format, width) * most) {
      rows.set(key, bytes = randomRows(format, most, spec.shape));
    }
    for (let first = 0; first < count; first += perWrite) {
      const n = Math.min(perWrite, count - first);
      if (first > 0) changeSigns(bytes, format, first);
      await device.writeWeight(weight, {
        firstRow: first,
        rows: n,
        dtype: FORMAT_BLOCKS[format] ?? "f32",
        bytes: bytes.subarray(0, n * rowBytes(format, width)),
      });
    }
  }
}

/** Values spread evenly over `-limit .. limit`, the same ones each time. */
export function randomValues(count: number, limit: number): Float32Array {
  const values = new Float32Array(count);
  let state = count | 1;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    values[i] = state / 2 ** 31 * limit;
  }
  return values;
}

/** Changes the signs of random blocks, by the scale that each begins with. */
function changeSigns(
  bytes: Uint8Array,
  format: WeightFormat,
  seed: number,
): void {
  const size = rowBytes(format, format === "f32" ? 1 : 32);
  let state = seed | 1;
  for (let end = format === "f32" ? 4 : 2; end <= bytes.length; end += size) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    bytes[end - 1]! ^= (state >>> 24) & 0x80;
  }
}

function rowBytes(format: WeightFormat, width: number): number {
  if (format === "f32") return 4 * width;
  return width / 32 * (format === "q8" ? 34 : 18);
}

function randomRows(
  format: WeightFormat,
  rows: number,
  shape: Shape,
): Uint8Array {
  const width = numel(shape.slice(1));
  const values = randomValues(rows * width, Math.sqrt(3 / width));
  if (shape.length === 1) values.fill(1);
  const blocks = FORMAT_BLOCKS[format];
  return blocks ? quantize(values, blocks) : new Uint8Array(values.buffer);
}
