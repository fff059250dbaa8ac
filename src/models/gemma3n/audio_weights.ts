// Checkpoint names and shapes of the audio tower, turned into weight records.
import { CheckpointError } from "../../core/errors.ts";
import type { Weight } from "../../ops/ops.ts";
import type { WeightLoader } from "../../ops/weight_loader.ts";
import { convolutionOutput } from "./audio_frames.ts";
import type { Gemma3nAudioConfig } from "./config.ts";
import {
  type SoftEmbedder,
  softEmbedderWeights,
} from "./multimodal_embedder.ts";

/** Weights of one convolution of the subsampling. */
export interface AudioSubsampleConvolution {
  /** conv2d `[O, C, KY, KX]`, Y time and X frequency. */
  readonly conv: Weight;
  /** `[O]` */
  readonly norm: Weight;
}

/** Weights from mel frames to the conformer's input. */
export interface AudioSubsampling {
  readonly convolutions: readonly AudioSubsampleConvolution[];
  /** `[D, X * C]` of the last convolution's X frequencies and C channels. */
  readonly inputProjLinear: Weight;
}

/** Weights of a half-step feed-forward. */
export interface AudioFeedForward {
  readonly preLayerNorm: Weight;
  /** `[4D, D]` */
  readonly ffwLayer1: Weight;
  /** `[D, 4D]` */
  readonly ffwLayer2: Weight;
  readonly postLayerNorm: Weight;
}

/** Weights of the local attention. */
export interface AudioAttention {
  readonly preAttnNorm: Weight;
  /** `[N * H, D]`, as the next three. */
  readonly qProj: Weight;
  readonly kProj: Weight;
  readonly vProj: Weight;
  /** Projects the sinusoids of relative positions. */
  readonly posProj: Weight;
  /** `[H]` factors on a query: softplus of `per_dim_scale`, times the fixed scale. */
  readonly queryScale: Weight;
  /** `[D, N * H]` */
  readonly post: Weight;
  readonly postNorm: Weight;
}

/** Weights of the causal depthwise convolution. */
export interface AudioLightConv1d {
  readonly preLayerNorm: Weight;
  /** `[2D, D]` */
  readonly linearStart: Weight;
  /** `[D, 1, K]` */
  readonly depthwiseConv1d: Weight;
  readonly convNorm: Weight;
  /** `[D, D]` */
  readonly linearEnd: Weight;
}

/** Weights of a conformer block. */
export interface AudioConformerBlock {
  readonly ffwLayerStart: AudioFeedForward;
  readonly attention: AudioAttention;
  readonly lconv1d: AudioLightConv1d;
  readonly ffwLayerEnd: AudioFeedForward;
  readonly norm: Weight;
}

/** Weights of the encoder. */
export interface AudioEncoder {
  readonly subsampleConvProjection: AudioSubsampling;
  readonly conformer: readonly AudioConformerBlock[];
}

/** Weights from mel frames to soft tokens of the decoder. */
export interface AudioTower {
  readonly encoder: AudioEncoder;
  readonly embedder: SoftEmbedder;
}

/**
 * Declares the weights of the audio tower; `textHiddenSize` is the decoder's D.
 *
 * @throws {CheckpointError} When the config contradicts itself, or the
 * checkpoint lacks a weight or has it in another shape.
 */
export function audioTowerWeights(
  loader: WeightLoader,
  config: Gemma3nAudioConfig,
  textHiddenSize: number,
): AudioTower {
  return {
    encoder: encoderWeights(loader.scope("audio_tower."), config),
    embedder: softEmbedderWeights(
      loader.scope("embed_audio."),
      config,
      textHiddenSize,
    ),
  };
}

function encoderWeights(
  load: WeightLoader,
  config: Gemma3nAudioConfig,
): AudioEncoder {
  const { hiddenSize, confNumAttentionHeads: heads } = config;
  if (hiddenSize % heads !== 0 || hiddenSize % 2 !== 0) {
    throw new CheckpointError(
      `Cannot use config.json: audio_config: "hidden_size" is ${hiddenSize}, ` +
        `wanted an even number that "conf_num_attention_heads", ${heads}, divides`,
    );
  }
  return {
    subsampleConvProjection: subsamplingWeights(
      load.scope("subsample_conv_projection."),
      config,
    ),
    conformer: Array.from(
      { length: config.confNumHiddenLayers },
      (_, i) => blockWeights(load.scope(`conformer.${i}.`), config),
    ),
  };
}

function subsamplingWeights(
  load: WeightLoader,
  config: Gemma3nAudioConfig,
): AudioSubsampling {
  let frequencies = config.inputFeatSize;
  let channels = 1;
  const convolutions = config.sscpConvChannelSize.map((outputs, i) => {
    const [ky, kx] = config.sscpConvKernelSize[i]!;
    const shape = [outputs, channels, ky, kx];
    frequencies = convolutionOutput(config, i, [0, frequencies])[1];
    channels = outputs;
    return {
      conv: load.weight("conv2d", `conv_${i}.conv.weight`, shape),
      norm: load.weight("vector", `conv_${i}.norm.weight`, [outputs]),
    };
  });
  return {
    convolutions,
    inputProjLinear: load.weight("matrix", "input_proj_linear.weight", [
      config.hiddenSize,
      frequencies * channels,
    ]),
  };
}

function blockWeights(
  load: WeightLoader,
  config: Gemma3nAudioConfig,
): AudioConformerBlock {
  const { hiddenSize } = config;
  return {
    ffwLayerStart: feedForwardWeights(
      load.scope("ffw_layer_start."),
      hiddenSize,
    ),
    attention: attentionWeights(load.scope("attention."), config),
    lconv1d: lightConv1dWeights(load.scope("lconv1d."), config),
    ffwLayerEnd: feedForwardWeights(load.scope("ffw_layer_end."), hiddenSize),
    norm: load.weight("vector", "norm.weight", [hiddenSize]),
  };
}

function feedForwardWeights(
  load: WeightLoader,
  width: number,
): AudioFeedForward {
  return {
    preLayerNorm: load.weight("vector", "pre_layer_norm.weight", [width]),
    ffwLayer1: load.weight("matrix", "ffw_layer_1.weight", [width * 4, width]),
    ffwLayer2: load.weight("matrix", "ffw_layer_2.weight", [width, width * 4]),
    postLayerNorm: load.weight("vector", "post_layer_norm.weight", [width]),
  };
}

function attentionWeights(
  load: WeightLoader,
  config: Gemma3nAudioConfig,
): AudioAttention {
  const width = config.hiddenSize;
  const headDim = width / config.confNumAttentionHeads;
  const square = (name: string) => load.weight("matrix", name, [width, width]);
  // The fixed scale makes a per_dim_scale of 0 the usual 1 / sqrt(H).
  const scale = 1 / (Math.sqrt(headDim) * softplus(0));
  return {
    preAttnNorm: load.weight("vector", "pre_attn_norm.weight", [width]),
    qProj: square("attn.q_proj.weight"),
    kProj: square("attn.k_proj.weight"),
    vProj: square("attn.v_proj.weight"),
    posProj: square("attn.relative_position_embedding.pos_proj.weight"),
    queryScale: load.weight("vector", "attn.per_dim_scale", [headDim], {
      map: (value) => softplus(value) * scale,
    }),
    post: square("post.weight"),
    postNorm: load.weight("vector", "post_norm.weight", [width]),
  };
}

function lightConv1dWeights(
  load: WeightLoader,
  config: Gemma3nAudioConfig,
): AudioLightConv1d {
  const width = config.hiddenSize;
  return {
    preLayerNorm: load.weight("vector", "pre_layer_norm.weight", [width]),
    linearStart: load.weight("matrix", "linear_start.weight", [
      width * 2,
      width,
    ]),
    depthwiseConv1d: load.weight(
      "depthwiseConv1d",
      "depthwise_conv1d.weight",
      [width, 1, config.confConvKernelSize],
    ),
    convNorm: load.weight("vector", "conv_norm.weight", [width]),
    linearEnd: load.weight("matrix", "linear_end.weight", [width, width]),
  };
}

/** `log(1 + e^x)`, without overflow. */
function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}
