// What the decoder has on its device, declared by the names of the checkpoint.
import type { Checkpoint } from "../../io/checkpoint.ts";
import {
  checkedTensor,
  type CheckpointWeights,
} from "../../ops/checkpoint_weights.ts";
import type { Device } from "../../ops/device.ts";
import type { Weight } from "../../ops/ops.ts";
import { decodeRows } from "../../quant/blocks.ts";
import type { CheckpointNames } from "./checkpoint_names.ts";
import type { Gemma3nConfig, Gemma3nTextConfig } from "./config.ts";
import { hardEmbedderWeights } from "./multimodal_embedder.ts";
import { PerLayerEmbeddings } from "./per_layer_inputs.ts";
import type { DecoderParts } from "./step_recorder.ts";
import { PER_LAYER_TABLE, textWeights } from "./text_weights.ts";
import type { HardEmbedders } from "./token_embeddings.ts";

/** Declares all weights of the decoder with `load`, the per-layer table if `loadsTable`. */
export function decoderParts(
  device: Device,
  checkpoint: Checkpoint,
  names: CheckpointNames,
  config: Gemma3nConfig,
  load: CheckpointWeights,
  loadsTable: boolean,
): DecoderParts {
  const { textConfig } = config;
  return {
    device,
    config,
    weights: textWeights(
      load.scope(names.text),
      textConfig,
      headLoader(load, names, textConfig),
    ),
    hard: hardEmbedders(load.scope(names.model), config),
    table: perLayerTable(
      checkpoint,
      names,
      config,
      loadsTable ? load : undefined,
    ),
  };
}

function headLoader(
  load: CheckpointWeights,
  { head }: CheckpointNames,
  { vocabSize, hiddenSize }: Gemma3nTextConfig,
): (() => Weight) | undefined {
  if (head === undefined) return undefined;
  return () => load.weight("matrix", head, [vocabSize, hiddenSize]);
}

function hardEmbedders(
  load: CheckpointWeights,
  config: Gemma3nConfig,
): HardEmbedders | undefined {
  const { visionConfig, audioConfig, textConfig } = config;
  if (visionConfig === undefined || audioConfig === undefined) return undefined;
  const D = textConfig.hiddenSize;
  return {
    vision: hardEmbedderWeights(load.scope("embed_vision."), visionConfig, D),
    audio: hardEmbedderWeights(load.scope("embed_audio."), audioConfig, D),
  };
}

function perLayerTable(
  checkpoint: Checkpoint,
  { text }: CheckpointNames,
  { textConfig }: Gemma3nConfig,
  load: CheckpointWeights | undefined,
): PerLayerEmbeddings {
  const name = text + PER_LAYER_TABLE;
  const shape = [
    textConfig.vocabSizePerLayerInput,
    textConfig.numHiddenLayers * textConfig.hiddenSizePerLayerInput,
  ];
  const { dtype } = checkedTensor(checkpoint, name, shape);
  return new PerLayerEmbeddings(
    textConfig,
    async (row) => decodeRows(await checkpoint.readRows(name, row, 1), dtype),
    load?.weight("matrix", name, shape, { optional: true }),
  );
}
