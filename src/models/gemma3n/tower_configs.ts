// Configurations of the vision and audio towers: names and defaults of
// Transformers' Gemma3nVisionConfig and Gemma3nAudioConfig, in camelCase.
import { CheckpointError, UnsupportedError } from "../../core/errors.ts";
import { isJsonObject } from "../../core/json.ts";
import { JsonFields } from "../../core/json_fields.ts";

/** MobileNetV5 with its fusion adapter: Transformers' `Gemma3nVisionConfig`. */
export interface Gemma3nVisionConfig {
  /** timm's name of the encoder. */
  readonly architecture: string;
  /** Channels of a soft token. */
  readonly hiddenSize: number;
  /** Ids of the vocabulary of this tower. */
  readonly vocabSize: number;
  /** First token id of the vision vocabulary. */
  readonly vocabOffset: number;
  /** Added to the mean square in all norms. */
  readonly rmsNormEps: number;
  /** Factor on the widths of all stages. */
  readonly channelMultiplier: number;
  /** Side of the adapter's output in cells; a picture gives its square in soft tokens. */
  readonly msfaOutputResolution: number;
}

/** USM conformer: Transformers' `Gemma3nAudioConfig`. */
export interface Gemma3nAudioConfig {
  /** Ids of the vocabulary of this tower. */
  readonly vocabSize: number;
  /** First token id of the audio vocabulary. */
  readonly vocabOffset: number;
  /** Mel bins of a frame. */
  readonly inputFeatSize: number;
  /** Width of the conformer. */
  readonly hiddenSize: number;
  /** Added to the mean square in all norms. */
  readonly rmsNormEps: number;
  /** Activations are clamped to this in either direction, as in training. */
  readonly gradientClipping: number;
  /** Frames of an attention block. */
  readonly confAttentionChunkSize: number;
  /** Frames a query sees to its left, itself included. */
  readonly confAttentionContextLeft: number;
  /** Frames a query sees to its right. */
  readonly confAttentionContextRight: number;
  /** Attention scores become cap * tanh(score / cap). */
  readonly confAttentionLogitCap: number;
  /** N. */
  readonly confNumAttentionHeads: number;
  /** Conformer blocks. */
  readonly confNumHiddenLayers: number;
  /** Frames the convolution of a block sees. */
  readonly confConvKernelSize: number;
  /** One frame of this many is kept at the end. */
  readonly confReductionFactor: number;
  /** Share of the feed-forward output that joins the residual. */
  readonly confResidualWeight: number;
  /** Channels of the two convolutions that subsample. */
  readonly sscpConvChannelSize: readonly [number, number];
  /** Added to the variance in their norms. */
  readonly sscpConvGroupNormEps: number;
  /** Kernel of each convolution, [time, frequency]. */
  readonly sscpConvKernelSize: readonly (readonly [number, number])[];
  /** Stride of each convolution, [time, frequency]. */
  readonly sscpConvStrideSize: readonly (readonly [number, number])[];
}

// timm fixes the width of the encoder's output, whatever the multiplier.
const ENCODER_CHANNELS = 2048;

// The rest of MobileNetV5's arguments would change what it computes, except
// for the rates of dropout, which only training uses.
const MODEL_ARGS = [
  "channel_multiplier",
  "msfa_output_resolution",
  "drop_rate",
  "drop_path_rate",
];

/**
 * Reads a vision_config.
 *
 * @throws {CheckpointError} When a field is of another type or out of range.
 * @throws {UnsupportedError} When the encoder is not Gemma 3n's.
 */
export function parseVisionConfig(fields: JsonFields): Gemma3nVisionConfig {
  const architecture = fields.string("architecture", "mobilenetv5_300m_enc");
  if (architecture !== "mobilenetv5_300m_enc") {
    throw new UnsupportedError(
      `Cannot use the vision architecture "${architecture}": "mobilenetv5_300m_enc" is supported`,
    );
  }
  const args = fields.object("model_args");
  const given = fields.get("model_args");
  for (const name of isJsonObject(given) ? Object.keys(given) : []) {
    if (!MODEL_ARGS.includes(name)) {
      throw new UnsupportedError(
        `Cannot use "${name}" of ${args.where}: ${
          MODEL_ARGS.map((arg) => `"${arg}"`).join(", ")
        } are supported`,
      );
    }
  }
  const hiddenSize = fields.integer("hidden_size", ENCODER_CHANNELS);
  if (hiddenSize !== ENCODER_CHANNELS) {
    throw new CheckpointError(
      `Cannot use ${fields.where}: "hidden_size" is ${hiddenSize}, ${architecture} has ${ENCODER_CHANNELS} output channels`,
    );
  }
  return {
    architecture,
    hiddenSize,
    vocabSize: fields.integer("vocab_size", 128, { min: 1 }),
    vocabOffset: fields.integer("vocab_offset", 262_144),
    rmsNormEps: fields.number("rms_norm_eps", 1e-6, { min: 0 }),
    channelMultiplier: args.number("channel_multiplier", 1, { min: 1e-6 }),
    msfaOutputResolution: args.integer("msfa_output_resolution", 16, {
      min: 1,
    }),
  };
}

/**
 * Reads an audio_config.
 *
 * @throws {CheckpointError} When a field is of another type or out of range.
 */
export function parseAudioConfig(fields: JsonFields): Gemma3nAudioConfig {
  const one = { min: 1 };
  const hiddenSize = fields.integer("hidden_size", 1536, one);
  const heads = fields.integer("conf_num_attention_heads", 8, one);
  if (hiddenSize % heads !== 0 || hiddenSize % 2 !== 0) {
    throw new CheckpointError(
      `Cannot use ${fields.where}: "hidden_size" is ${hiddenSize}, wanted an even number that "conf_num_attention_heads", ${heads}, divides`,
    );
  }
  return {
    vocabSize: fields.integer("vocab_size", 128, one),
    vocabOffset: fields.integer("vocab_offset", 262_272),
    inputFeatSize: fields.integer("input_feat_size", 128, one),
    hiddenSize,
    rmsNormEps: fields.number("rms_norm_eps", 1e-6, { min: 0 }),
    gradientClipping: fields.number("gradient_clipping", 1e10, { min: 0 }),
    confAttentionChunkSize: fields.integer(
      "conf_attention_chunk_size",
      12,
      one,
    ),
    confAttentionContextLeft: fields.integer("conf_attention_context_left", 13),
    confAttentionContextRight: fields.integer(
      "conf_attention_context_right",
      0,
    ),
    confAttentionLogitCap: fields.number("conf_attention_logit_cap", 50),
    confNumAttentionHeads: heads,
    confNumHiddenLayers: fields.integer("conf_num_hidden_layers", 12, {
      max: 1024,
    }),
    confConvKernelSize: fields.integer("conf_conv_kernel_size", 5, one),
    confReductionFactor: fields.integer("conf_reduction_factor", 4, one),
    confResidualWeight: fields.number("conf_residual_weight", 0.5),
    sscpConvChannelSize: pair(fields, "sscp_conv_channel_size", [128, 32]),
    sscpConvGroupNormEps: fields.number("sscp_conv_group_norm_eps", 1e-3, {
      min: 0,
    }),
    sscpConvKernelSize: pairs(fields, "sscp_conv_kernel_size", [[3, 3], [
      3,
      3,
    ]]),
    sscpConvStrideSize: pairs(fields, "sscp_conv_stride_size", [[2, 2], [
      2,
      2,
    ]]),
  };
}

type Pair = readonly [number, number];

function pair(fields: JsonFields, key: string, fallback: Pair): Pair {
  if (!fields.has(key)) return fallback;
  return fields.integers(key, 2, { min: 1 }) as [number, number];
}

function pairs(
  fields: JsonFields,
  key: string,
  fallback: readonly Pair[],
): readonly Pair[] {
  if (!fields.has(key)) return fallback;
  return fields.list(key, (value, label) => {
    if (!Array.isArray(value)) {
      throw new CheckpointError(
        `Cannot use ${fields.where}: "${label}" is not a pair of integers`,
      );
    }
    return pair(new JsonFields({ [label]: value }, fields.where), label, [
      1,
      1,
    ]);
  }, 2);
}
