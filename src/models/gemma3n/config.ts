// config.json of a Gemma 3n checkpoint: names and defaults of Transformers'
// Gemma3nConfig, in camelCase.
import { CheckpointError, UnsupportedError } from "../../core/errors.ts";
import type { JsonObject } from "../../core/json.ts";
import { JsonFields } from "../../core/json_fields.ts";
import { type Gemma3nTextConfig, parseTextConfig } from "./text_config.ts";
import {
  type Gemma3nAudioConfig,
  type Gemma3nVisionConfig,
  parseAudioConfig,
  parseVisionConfig,
} from "./tower_configs.ts";

export type {
  Gemma3nTextConfig,
  LayerType,
  RopeParameters,
} from "./text_config.ts";
export type {
  Gemma3nAudioConfig,
  Gemma3nVisionConfig,
} from "./tower_configs.ts";

/** A whole checkpoint: Transformers' `Gemma3nConfig`. The towers are absent in a text-only checkpoint. */
export interface Gemma3nConfig {
  /** The decoder. */
  readonly textConfig: Gemma3nTextConfig;
  /** The vision tower. */
  readonly visionConfig: Gemma3nVisionConfig | undefined;
  /** The audio tower. */
  readonly audioConfig: Gemma3nAudioConfig | undefined;
  /** Slots a clip takes in a prompt (the name is Transformers'). */
  readonly audioSoftTokensPerImage: number;
  /** Soft tokens of a picture. */
  readonly visionSoftTokensPerImage: number;
  /** Placeholder of a soft token of a picture. */
  readonly imageTokenId: number;
  /** Placeholder of a soft token of a clip. */
  readonly audioTokenId: number;
  /** Whether the head is the token embedding. */
  readonly tieWordEmbeddings: boolean;
}

/**
 * Reads a parsed config.json, of a whole model (`model_type` "gemma3n") or of
 * its text decoder alone ("gemma3n_text").
 *
 * @throws {CheckpointError} When a field is missing, of another type or out of range.
 * @throws {UnsupportedError} When the model, its activation or its rope type is not Gemma 3n's.
 */
export function parseGemma3nConfig(json: JsonObject): Gemma3nConfig {
  const fields = new JsonFields(json, "config.json");
  const modelType = fields.string("model_type");
  if (modelType !== "gemma3n" && modelType !== "gemma3n_text") {
    throw new UnsupportedError(
      `Cannot load a model of type "${modelType}": "gemma3n" and "gemma3n_text" are supported`,
    );
  }
  const textOnly = modelType === "gemma3n_text";
  const textConfig = parseTextConfig(
    textOnly ? fields : fields.object("text_config"),
  );
  const config = {
    textConfig,
    visionConfig: textOnly
      ? undefined
      : parseVisionConfig(fields.object("vision_config")),
    audioConfig: textOnly
      ? undefined
      : parseAudioConfig(fields.object("audio_config")),
    audioSoftTokensPerImage: fields.integer("audio_soft_tokens_per_image", 188),
    visionSoftTokensPerImage: fields.integer(
      "vision_soft_tokens_per_image",
      256,
    ),
    imageTokenId: fields.integer("image_token_id", 262_145),
    audioTokenId: fields.integer("audio_token_id", 262_273),
    tieWordEmbeddings: fields.boolean("tie_word_embeddings", true),
  };
  checkSoftTokens(config);
  return config;
}

function checkSoftTokens(config: Gemma3nConfig): void {
  const { visionConfig, visionSoftTokensPerImage: wanted } = config;
  if (visionConfig === undefined) return;
  const side = visionConfig.msfaOutputResolution;
  if (side * side !== wanted) {
    throw new CheckpointError(
      `Cannot use config.json: "vision_soft_tokens_per_image" is ${wanted}, "msfa_output_resolution" ${side} gives ${
        side * side
      }`,
    );
  }
}
