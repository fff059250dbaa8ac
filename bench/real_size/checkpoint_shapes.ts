// Names and shapes of a checkpoint's tensors, as the model itself asks for
// them, so that made-up checkpoints never fall behind it.
import type { Shape } from "../../src/core/shape.ts";
import { audioTowerWeights } from "../../src/models/gemma3n/audio_weights.ts";
import type { Gemma3nConfig } from "../../src/models/gemma3n/config.ts";
import { hardEmbedderWeights } from "../../src/models/gemma3n/multimodal_embedder.ts";
import {
  PER_LAYER_TABLE,
  textWeights,
} from "../../src/models/gemma3n/text_weights.ts";
import { visionTowerWeights } from "../../src/models/gemma3n/vision_weights.ts";
import type { Weight } from "../../src/ops/ops.ts";
import type { WeightLoader } from "../../src/ops/weight_loader.ts";

/** Shapes by name of the decoder, below `prefix`. */
export function decoderShapes(
  { textConfig }: Gemma3nConfig,
  prefix: string,
): Map<string, Shape> {
  const shapes = new Map<string, Shape>();
  textWeights(recorder(shapes, prefix), textConfig);
  shapes.set(prefix + PER_LAYER_TABLE, [
    textConfig.vocabSizePerLayerInput,
    textConfig.numHiddenLayers * textConfig.hiddenSizePerLayerInput,
  ]);
  return shapes;
}

/** Shapes by name of the vision and the audio tower with their embedders, below `prefix`. */
export function towerShapes(
  { textConfig, visionConfig, audioConfig }: Gemma3nConfig,
  prefix: string,
): Map<string, Shape> {
  const shapes = new Map<string, Shape>();
  const load = recorder(shapes, prefix);
  const D = textConfig.hiddenSize;
  if (visionConfig !== undefined) {
    visionTowerWeights(load, visionConfig, D);
    hardEmbedderWeights(load.scope("embed_vision."), visionConfig, D);
  }
  if (audioConfig !== undefined) {
    audioTowerWeights(load, audioConfig, D);
    hardEmbedderWeights(load.scope("embed_audio."), audioConfig, D);
  }
  return shapes;
}

function recorder(shapes: Map<string, Shape>, prefix: string): WeightLoader {
  return {
    weight(_kind, name, shape): Weight {
      shapes.set(prefix + name, shape);
      return { shape };
    },
    scope: (inner) => recorder(shapes, prefix + inner),
  };
}
