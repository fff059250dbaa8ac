// A text-only checkpoint of any shape, made up in memory: weights that keep
// activations at their usual size, the same ones each time.
import type { FileOpener } from "../../mod.ts";
import type { JsonObject } from "../../src/core/json.ts";
import { numel, type Shape } from "../../src/core/shape.ts";
import { parseGemma3nConfig } from "../../src/models/gemma3n/config.ts";
import {
  PER_LAYER_TABLE,
  textWeights,
} from "../../src/models/gemma3n/text_weights.ts";
import type { Weight } from "../../src/ops/ops.ts";
import type { WeightLoader } from "../../src/ops/weight_loader.ts";

const PREFIX = "model.";

/** Files of a checkpoint with this config.json, in bfloat16. */
export function syntheticCheckpoint(config: JsonObject): FileOpener {
  const files: Record<string, Uint8Array> = {
    "config.json": new TextEncoder().encode(JSON.stringify(config)),
    "model.safetensors": safetensors(tensorShapes(config)),
  };
  return { open: (name) => files[name] };
}

/** Names and shapes of the decoder's tensors, as the model itself asks for them. */
function tensorShapes(json: JsonObject): Map<string, Shape> {
  const { textConfig } = parseGemma3nConfig(json);
  const shapes = new Map<string, Shape>();
  const loader = (prefix: string): WeightLoader => ({
    weight(_kind, name, shape): Weight {
      shapes.set(prefix + name, shape);
      return { shape };
    },
    scope: (inner) => loader(prefix + inner),
  });
  textWeights(loader(PREFIX), textConfig);
  shapes.set(PREFIX + PER_LAYER_TABLE, [
    textConfig.vocabSizePerLayerInput,
    textConfig.numHiddenLayers * textConfig.hiddenSizePerLayerInput,
  ]);
  return shapes;
}

function safetensors(shapes: ReadonlyMap<string, Shape>): Uint8Array {
  const header: Record<string, unknown> = {};
  let offset = 0;
  for (const [name, shape] of shapes) {
    const end = offset + 2 * numel(shape);
    header[name] = { dtype: "BF16", shape, data_offsets: [offset, end] };
    offset = end;
  }
  let text = JSON.stringify(header);
  text = text.padEnd(Math.ceil(text.length / 8) * 8);
  const bytes = new Uint8Array(8 + text.length + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(new TextEncoder().encode(text), 8);
  let values = new Uint16Array(bytes.buffer, 8 + text.length);
  for (const shape of shapes.values()) {
    fill(values.subarray(0, numel(shape)), shape);
    values = values.subarray(numel(shape));
  }
  return bytes;
}

/** Ones for norms; for matrices `[F, K]` spread evenly with a deviation of K^-1/2. */
function fill(values: Uint16Array, shape: Shape): void {
  if (shape.length === 1) {
    values.fill(0x3f80);
    return;
  }
  const float = new Float32Array(1);
  const bits = new Uint32Array(float.buffer);
  const limit = Math.sqrt(3 / shape[1]!);
  let state = numel(shape);
  for (let i = 0; i < values.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    float[0] = state / 2 ** 31 * limit;
    values[i] = bits[0]! >>> 16;
  }
}
