// Checkpoint names and shapes of the vision tower, turned into weight records.
// timm's `bn` are RMS norms over channels.
import type { Weight } from "../../ops/ops.ts";
import type { WeightLoader } from "../../ops/weight_loader.ts";
import type { Gemma3nVisionConfig } from "./config.ts";
import {
  type SoftEmbedder,
  softEmbedderWeights,
} from "./multimodal_embedder.ts";
import {
  type EdgeResidualSpec,
  type MobileAttentionSpec,
  type UniversalInvertedResidualSpec,
  type VisionArchitecture,
  visionArchitecture,
  type VisionBlockSpec,
} from "./vision_architecture.ts";

/** A convolution and the norm after it. */
export interface ConvNorm {
  /** conv2d [O, C, KY, KX], or depthwiseConv2d [C, 1, KY, KX] where the block says so */
  readonly conv: Weight;
  readonly stride: number;
  /** vector [O] */
  readonly norm: Weight;
}

/** Weights of an edge residual block. */
export interface EdgeResidual {
  readonly kind: "edgeResidual";
  readonly convExp: ConvNorm;
  readonly convPwl: ConvNorm;
  /** Whether the input is added to the result. */
  readonly skip: boolean;
}

/** Weights of a universal inverted residual block. */
export interface UniversalInvertedResidual {
  readonly kind: "universalInvertedResidual";
  /** Depthwise. */
  readonly dwStart: ConvNorm | undefined;
  readonly pwExp: ConvNorm;
  /** Depthwise. */
  readonly dwMid: ConvNorm | undefined;
  readonly pwProj: ConvNorm;
  /** vector [C] */
  readonly layerScale: Weight | undefined;
  /** Whether the input is added to the result. */
  readonly skip: boolean;
}

/** Weights from a picture to its keys or its values. */
export interface KeyValuePath {
  /** Depthwise; shrinks the picture. */
  readonly downConv: ConvNorm | undefined;
  /** conv2d [H, C, 1, 1] */
  readonly proj: Weight;
}

/** Weights of a mobile attention block. */
export interface MobileAttention {
  readonly kind: "mobileAttention";
  readonly norm: Weight;
  /** conv2d [N * H, C, 1, 1] */
  readonly query: Weight;
  readonly key: KeyValuePath;
  readonly value: KeyValuePath;
  /** conv2d [C, N * H, 1, 1] */
  readonly output: Weight;
  /** vector [C] */
  readonly layerScale: Weight;
  readonly heads: number;
  readonly headDim: number;
}

/** Weights of any block. */
export type VisionBlock =
  | EdgeResidual
  | UniversalInvertedResidual
  | MobileAttention;

/** Weights of the multi-scale fusion adapter. */
export interface MultiScaleFusionAdapter {
  readonly ffn: UniversalInvertedResidual;
  readonly norm: Weight;
  /** Stages whose outputs are joined, ascending. */
  readonly stages: readonly number[];
}

/** Weights of the encoder. */
export interface VisionEncoder {
  readonly convStem: ConvNorm;
  readonly convStemBias: Weight;
  readonly stages: readonly (readonly VisionBlock[])[];
  readonly msfa: MultiScaleFusionAdapter;
}

/** Weights from pixels to soft tokens of the decoder. */
export interface VisionTower {
  readonly encoder: VisionEncoder;
  readonly embedder: SoftEmbedder;
}

/**
 * Names the weights of the vision tower. `loader` is scoped to the whole model, e.g. by `model.`.
 *
 * @throws {CheckpointError} When a weight is missing or has another shape.
 */
export function visionTowerWeights(
  loader: WeightLoader,
  config: Gemma3nVisionConfig,
  textHiddenSize: number,
): VisionTower {
  return {
    encoder: encoderWeights(
      loader.scope("vision_tower.timm_model."),
      visionArchitecture(config),
    ),
    embedder: softEmbedderWeights(
      loader.scope("embed_vision."),
      config,
      textHiddenSize,
    ),
  };
}

function encoderWeights(
  load: WeightLoader,
  architecture: VisionArchitecture,
): VisionEncoder {
  const { stemChannels, stemKernelSize, stemStride } = architecture;
  const { msfaInChannels, msfaMidChannels, outChannels } = architecture;
  const ffn = load.scope("msfa.ffn.");
  return {
    convStem: {
      conv: conv(load, "conv_stem.conv", 3, stemChannels, stemKernelSize),
      stride: stemStride,
      norm: vector(load, "conv_stem.bn.weight", stemChannels),
    },
    convStemBias: vector(load, "conv_stem.conv.bias", stemChannels),
    stages: architecture.stages.map((blocks, stage) =>
      blocks.map((spec, i) =>
        blockWeights(load.scope(`blocks.${stage}.${i}.`), spec)
      )
    ),
    msfa: {
      ffn: {
        kind: "universalInvertedResidual",
        dwStart: undefined,
        pwExp: pointwise(ffn, "pw_exp", msfaInChannels, msfaMidChannels),
        dwMid: undefined,
        pwProj: pointwise(ffn, "pw_proj", msfaMidChannels, outChannels),
        layerScale: undefined,
        skip: false,
      },
      norm: vector(load, "msfa.norm.weight", outChannels),
      stages: architecture.msfaStages,
    },
  };
}

function blockWeights(load: WeightLoader, spec: VisionBlockSpec): VisionBlock {
  switch (spec.kind) {
    case "edgeResidual":
      return edgeResidualWeights(load, spec);
    case "universalInvertedResidual":
      return universalInvertedResidualWeights(load, spec);
    case "mobileAttention":
      return mobileAttentionWeights(load, spec);
  }
}

function edgeResidualWeights(
  load: WeightLoader,
  spec: EdgeResidualSpec,
): EdgeResidual {
  const { inChannels, midChannels, outChannels, kernelSize, stride } = spec;
  return {
    kind: "edgeResidual",
    convExp: {
      conv: conv(load, "conv_exp", inChannels, midChannels, kernelSize),
      stride,
      norm: vector(load, "bn1.weight", midChannels),
    },
    convPwl: {
      conv: conv(load, "conv_pwl", midChannels, outChannels, 1),
      stride: 1,
      norm: vector(load, "bn2.weight", outChannels),
    },
    skip: hasSkip(spec),
  };
}

function universalInvertedResidualWeights(
  load: WeightLoader,
  spec: UniversalInvertedResidualSpec,
): UniversalInvertedResidual {
  const { inChannels, midChannels, outChannels, stride } = spec;
  const { startKernelSize, midKernelSize } = spec;
  return {
    kind: "universalInvertedResidual",
    dwStart: startKernelSize === 0 ? undefined : {
      conv: depthwise(load, "dw_start.conv", inChannels, startKernelSize),
      stride: 1,
      norm: vector(load, "dw_start.bn.weight", inChannels),
    },
    pwExp: pointwise(load, "pw_exp", inChannels, midChannels),
    dwMid: midKernelSize === 0 ? undefined : {
      conv: depthwise(load, "dw_mid.conv", midChannels, midKernelSize),
      stride,
      norm: vector(load, "dw_mid.bn.weight", midChannels),
    },
    pwProj: pointwise(load, "pw_proj", midChannels, outChannels),
    layerScale: vector(load, "layer_scale.gamma", outChannels),
    skip: hasSkip(spec),
  };
}

function mobileAttentionWeights(
  load: WeightLoader,
  spec: MobileAttentionSpec,
): MobileAttention {
  const { channels, heads, headDim } = spec;
  return {
    kind: "mobileAttention",
    norm: vector(load, "norm.weight", channels),
    query: conv(load, "attn.query.proj", channels, heads * headDim, 1),
    key: keyValuePath(load.scope("attn.key."), spec),
    value: keyValuePath(load.scope("attn.value."), spec),
    output: conv(load, "attn.output.proj", heads * headDim, channels, 1),
    layerScale: vector(load, "layer_scale.gamma", channels),
    heads,
    headDim,
  };
}

function keyValuePath(
  load: WeightLoader,
  spec: MobileAttentionSpec,
): KeyValuePath {
  const { channels, headDim, kvStride, kvKernelSize } = spec;
  return {
    downConv: kvStride === 1 ? undefined : {
      conv: depthwise(load, "down_conv", channels, kvKernelSize),
      stride: kvStride,
      norm: vector(load, "norm.weight", channels),
    },
    proj: conv(load, "proj", channels, headDim, 1),
  };
}

function pointwise(
  load: WeightLoader,
  name: string,
  inChannels: number,
  outChannels: number,
): ConvNorm {
  return {
    conv: conv(load, `${name}.conv`, inChannels, outChannels, 1),
    stride: 1,
    norm: vector(load, `${name}.bn.weight`, outChannels),
  };
}

function conv(
  load: WeightLoader,
  name: string,
  inChannels: number,
  outChannels: number,
  kernelSize: number,
): Weight {
  const shape = [outChannels, inChannels, kernelSize, kernelSize];
  return load.weight("conv2d", `${name}.weight`, shape);
}

function depthwise(
  load: WeightLoader,
  name: string,
  channels: number,
  kernelSize: number,
): Weight {
  const shape = [channels, 1, kernelSize, kernelSize];
  return load.weight("depthwiseConv2d", `${name}.weight`, shape);
}

function vector(load: WeightLoader, name: string, channels: number): Weight {
  return load.weight("vector", name, [channels]);
}

function hasSkip(
  spec: EdgeResidualSpec | UniversalInvertedResidualSpec,
): boolean {
  return spec.stride === 1 && spec.inChannels === spec.outChannels;
}
