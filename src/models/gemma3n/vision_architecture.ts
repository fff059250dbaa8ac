// The blocks of MobileNetV5-300M and their widths, as timm's
// `mobilenetv5_300m_enc` builds them for a channel multiplier.
import type { Gemma3nVisionConfig } from "./tower_configs.ts";

/** Convolution that expands, then a pointwise one that projects. */
export interface EdgeResidualSpec {
  readonly kind: "edgeResidual";
  readonly inChannels: number;
  readonly midChannels: number;
  readonly outChannels: number;
  readonly kernelSize: number;
  readonly stride: number;
}

/** Pointwise expansion and projection, with depthwise convolutions before and between. */
export interface UniversalInvertedResidualSpec {
  readonly kind: "universalInvertedResidual";
  readonly inChannels: number;
  readonly midChannels: number;
  readonly outChannels: number;
  /** Side of the depthwise kernel before the expansion; 0 for none. */
  readonly startKernelSize: number;
  /** Side of the depthwise kernel after the expansion, which takes the stride; 0 for none. */
  readonly midKernelSize: number;
  readonly stride: number;
}

/** Multi-query attention over all cells. */
export interface MobileAttentionSpec {
  readonly kind: "mobileAttention";
  readonly channels: number;
  readonly heads: number;
  /** Width of a query head, of the key and of the value. */
  readonly headDim: number;
  /** Stride of the depthwise convolutions before key and value; 1 for no convolution. */
  readonly kvStride: number;
  readonly kvKernelSize: number;
}

/** One block of a stage. */
export type VisionBlockSpec =
  | EdgeResidualSpec
  | UniversalInvertedResidualSpec
  | MobileAttentionSpec;

/** Everything that fixes the encoder's weights and their shapes. */
export interface VisionArchitecture {
  readonly stemChannels: number;
  readonly stemKernelSize: number;
  readonly stemStride: number;
  readonly stages: readonly (readonly VisionBlockSpec[])[];
  /** Stages whose outputs the multi-scale fusion adapter joins, ascending. */
  readonly msfaStages: readonly number[];
  /** Sum of the widths of those stages. */
  readonly msfaInChannels: number;
  readonly msfaMidChannels: number;
  readonly outChannels: number;
}

const STEM_CHANNELS = 64;

/** The encoder's blocks and widths for a config. */
export function visionArchitecture(
  config: Gemma3nVisionConfig,
): VisionArchitecture {
  const { channelMultiplier } = config;
  // timm widens the stem but never narrows it.
  const stemChannels = channelMultiplier < 1
    ? STEM_CHANNELS
    : roundChannels(STEM_CHANNELS * channelMultiplier);
  let inChannels = stemChannels;
  const widths: number[] = [];
  const stages = STAGES.map(({ channels, blocks }) => {
    const outChannels = roundChannels(channels * channelMultiplier);
    widths.push(outChannels);
    return blocks.map((block) => {
      const spec = block(inChannels, outChannels);
      inChannels = outChannels;
      return spec;
    });
  });
  const msfaStages = [2, 3];
  const msfaInChannels = msfaStages.reduce((sum, i) => sum + widths[i]!, 0);
  return {
    stemChannels,
    stemKernelSize: 3,
    stemStride: 2,
    stages,
    msfaStages,
    msfaInChannels,
    msfaMidChannels: roundChannels(msfaInChannels * 2),
    outChannels: config.hiddenSize,
  };
}

/**
 * Nearest multiple of 8 (ties up), at least 8, and never under 90 % of
 * `channels`: timm's `make_divisible`.
 */
export function roundChannels(channels: number): number {
  const rounded = Math.max(8, Math.floor((channels + 4) / 8) * 8);
  return rounded < 0.9 * channels ? rounded + 8 : rounded;
}

type BlockOf = (inChannels: number, outChannels: number) => VisionBlockSpec;

function edge(stride: number): BlockOf {
  return (inChannels, outChannels) => ({
    kind: "edgeResidual",
    inChannels,
    midChannels: roundChannels(inChannels * 4),
    outChannels,
    kernelSize: 3,
    stride,
  });
}

function inverted(startKernelSize: number, expansion: number): BlockOf {
  return (inChannels, outChannels) => ({
    kind: "universalInvertedResidual",
    inChannels,
    midChannels: roundChannels(inChannels * expansion),
    outChannels,
    startKernelSize,
    midKernelSize: 0,
    stride: 1,
  });
}

/** First block of a stage: halves both sides of the picture. */
function invertedDown(startKernelSize: number): BlockOf {
  return (inChannels, outChannels) => ({
    kind: "universalInvertedResidual",
    inChannels,
    midChannels: roundChannels(inChannels * 6),
    outChannels,
    startKernelSize,
    midKernelSize: 5,
    stride: 2,
  });
}

// Heads and their width do not follow the channel multiplier.
function attention(
  heads: number,
  headDim: number,
  kvStride: number,
): BlockOf {
  return (_, channels) => ({
    kind: "mobileAttention",
    channels,
    heads,
    headDim,
    kvStride,
    kvKernelSize: 3,
  });
}

function repeat(times: number, ...blocks: BlockOf[]): BlockOf[] {
  return Array.from({ length: times }, () => blocks).flat();
}

// `channels` are the widths at multiplier 1.
const STAGES: readonly { channels: number; blocks: readonly BlockOf[] }[] = [
  { channels: 128, blocks: [edge(2), edge(1), edge(1)] },
  {
    channels: 256,
    blocks: [
      invertedDown(3),
      inverted(5, 4),
      inverted(3, 4),
      inverted(5, 4),
      inverted(3, 4),
    ],
  },
  {
    channels: 640,
    blocks: [
      invertedDown(5),
      ...repeat(7, inverted(5, 4)),
      inverted(0, 1),
      ...repeat(14, attention(12, 64, 2), inverted(0, 2)),
    ],
  },
  {
    channels: 1280,
    blocks: [
      invertedDown(5),
      ...repeat(19, attention(16, 96, 1), inverted(0, 2)),
    ],
  },
];
