// The tensors of a GGUF file, in order, and which tensors of a checkpoint each
// is made of.
import { CheckpointError } from "../core/errors.ts";
import type { ComputeDtype } from "../core/dtype.ts";
import type { Shape } from "../core/shape.ts";
import type { Checkpoint } from "../io/checkpoint.ts";
import type { GgufTensorSpec } from "../io/gguf_header_writer.ts";
import {
  LAYER_NAMES,
  MODEL_NAMES,
  PER_LAYER_EMBEDDING,
  STACKED_NAMES,
} from "../io/gguf_names.ts";
import type { Gemma3nTextConfig } from "../models/gemma3n/config.ts";
import { numKvOwningLayers } from "../models/gemma3n/kv_sharing.ts";
import { ggufDtype } from "./gguf_recipe.ts";

/** Rows that a tensor of the file is made of. */
export type TensorPart =
  /** All rows of a tensor of the checkpoint. */
  | { readonly kind: "tensor"; readonly name: string }
  /** Its first row, repeated. */
  | { readonly kind: "firstRow"; readonly name: string; readonly count: number }
  /** Zeros: that many values. */
  | { readonly kind: "zeros"; readonly values: number };

/** A tensor of the file. */
export interface PlannedTensor extends GgufTensorSpec {
  readonly parts: readonly TensorPart[];
}

/** What of a checkpoint goes into a file. */
export interface PlanSource {
  readonly checkpoint: Checkpoint;
  /** In front of the decoder's names. */
  readonly prefix: string;
  readonly config: Gemma3nTextConfig;
}

/**
 * Lists the tensors of a file.
 *
 * @throws {CheckpointError} When the checkpoint lacks one.
 */
export function planGguf(
  source: PlanSource,
  dtype: ComputeDtype,
): PlannedTensor[] {
  const { config } = source;
  const planned: PlannedTensor[] = [];
  const add = (name: string, shape: Shape, parts: TensorPart[]) =>
    planned.push({ name, shape, dtype: ggufDtype(name, shape, dtype), parts });
  for (const { gguf, transformers } of MODEL_NAMES) {
    const name = source.prefix + transformers;
    const { shape } = source.checkpoint.get(name);
    if (gguf === PER_LAYER_EMBEDDING) {
      add(gguf, [config.vocabSize, shape[1]!], tableParts(name, config));
    } else add(gguf, shape, [{ kind: "tensor", name }]);
  }
  for (const { gguf, transformers } of STACKED_NAMES) {
    const count = config.altupNumInputs - 1;
    const names = Array.from(
      { length: count },
      (_, i) => `${source.prefix}${transformers}.${i}.weight`,
    );
    const shape = [count, config.hiddenSize, config.hiddenSize];
    add(gguf, shape, names.map((name) => ({ kind: "tensor", name })));
  }
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    for (const { gguf, transformers } of LAYER_NAMES) {
      const name = `${source.prefix}layers.${layer}.${transformers}`;
      const { shape, part } = layerPart(source, name, transformers, layer);
      add(`blk.${layer}.${gguf}`, shape, [part]);
    }
  }
  return planned;
}

// Ids beyond the table use its first row; in the file every id has a row.
function tableParts(
  name: string,
  { vocabSize, vocabSizePerLayerInput: rows }: Gemma3nTextConfig,
): TensorPart[] {
  const count = vocabSize - rows;
  if (count < 0) {
    throw new CheckpointError(
      `Cannot convert tensor "${name}": it has ${rows} rows, more than the vocabulary's ${vocabSize}`,
      { tensor: name },
    );
  }
  const parts: TensorPart[] = [{ kind: "tensor", name }];
  if (count > 0) parts.push({ kind: "firstRow", name, count });
  return parts;
}

// Layers that share keys and values need none, but llama.cpp wants the tensors.
function layerPart(
  { checkpoint, config }: PlanSource,
  name: string,
  transformers: string,
  layer: number,
): { shape: Shape; part: TensorPart } {
  const isSpare = layer >= numKvOwningLayers(config) &&
    /^self_attn\.[kv]_/.test(transformers);
  if (!isSpare || checkpoint.has(name)) {
    return {
      shape: checkpoint.get(name).shape,
      part: { kind: "tensor", name },
    };
  }
  const { headDim: H, numKeyValueHeads: K, hiddenSize: D } = config;
  const shape = transformers.includes("norm") ? [H] : [K * H, D];
  const values = shape.reduce((product, size) => product * size);
  return { shape, part: { kind: "zeros", values } };
}
