// What does not change about a decoder layer from step to step: where its
// weights lie and which kernels it has.
import type { FloatCacheDtype } from "../../../core/dtype.ts";
import type { LayerConfig, LayerWeights } from "../../../ops/decoder_layer.ts";
import type { Weight } from "../../../ops/ops.ts";
import type { SubgroupFeatures } from "../features.ts";
import { ATTEND_HEADS, attendKernel } from "../kernels/decoder_layer/attend.ts";
import { attentionOutputKernel } from "../kernels/decoder_layer/attention_output.ts";
import { correctKernel } from "../kernels/decoder_layer/correct.ts";
import { downKernel } from "../kernels/decoder_layer/down.ts";
import { finishKernel } from "../kernels/decoder_layer/finish.ts";
import { gateUpKernel } from "../kernels/decoder_layer/gate_up.ts";
import {
  type LayerKernel,
  type LayerPlaces,
  type LayerShape,
  threadsFor,
} from "../kernels/decoder_layer/layer_shape.ts";
import { mergeSplitsKernel } from "../kernels/decoder_layer/merge_splits.ts";
import { perLayerProjectionKernel } from "../kernels/decoder_layer/per_layer_projection.ts";
import { projectKernel } from "../kernels/decoder_layer/project.ts";
import type { StreamsLack } from "../kernels/decoder_layer/project_streams.ts";
import type { Recorder } from "../recorder.ts";
import type { WeightGroup } from "../weight_groups.ts";
import { KernelSet } from "./kernel_set.ts";
import type { RecordedLayer } from "./recorded_layer.ts";
import { Places } from "./weight_places.ts";
import type { WebGpuWeight } from "../weights.ts";

/** Query heads of a key-value head that attention has memory for. */
const MOST_SHARED = 4;
/** What the largest kernel takes; every GPU has half of it. */
const WORKGROUP_BYTES = 32768;
/** Rows are divided into pieces of so many elements. */
const PIECE = 8;

/** A layer's place and kernels. */
export class LayerPlan {
  readonly config: LayerConfig;
  readonly shape: LayerShape;
  readonly group: WeightGroup;
  /** As the last step recorded it. */
  recorded: RecordedLayer | undefined;
  private readonly kernels: KernelSet;

  constructor(
    config: LayerConfig,
    shape: LayerShape,
    group: WeightGroup,
  ) {
    this.config = config;
    this.shape = shape;
    this.group = group;
    this.kernels = new KernelSet(shape);
  }

  project(lack: StreamsLack): LayerKernel {
    return this.kernels.get(
      `project ${JSON.stringify(lack)}`,
      () => projectKernel(this.shape, lack),
    );
  }

  attend(dtype: FloatCacheDtype, tileKeys: number): LayerKernel {
    return this.kernels.get(
      `attend ${dtype} ${tileKeys}`,
      () => attendKernel(this.shape, dtype, tileKeys),
    );
  }

  get mergeSplits(): LayerKernel {
    return this.kernels.get("mergeSplits", () => mergeSplitsKernel(this.shape));
  }

  attentionOutput(merged: boolean): LayerKernel {
    return this.kernels.get(
      `attentionOutput ${merged}`,
      () => attentionOutputKernel(this.shape, merged),
    );
  }

  get gateUp(): LayerKernel {
    return this.kernels.get("gateUp", () => gateUpKernel(this.shape));
  }

  get down(): LayerKernel {
    return this.kernels.get("down", () => downKernel(this.shape));
  }

  get correct(): LayerKernel {
    return this.kernels.get("correct", () => correctKernel(this.shape));
  }

  get perLayerProjection(): LayerKernel {
    return this.kernels.get(
      "perLayerProjection",
      () => perLayerProjectionKernel(this.shape),
    );
  }

  get finish(): LayerKernel {
    return this.kernels.get("finish", () => finishKernel(this.shape));
  }
}

/** Plans a layer; `undefined` where there are no kernels for it, or its weights do not lie together. */
export function layerPlan(
  r: Recorder,
  w: LayerWeights,
  config: LayerConfig,
  subgroups: SubgroupFeatures,
  limits: GPUSupportedLimits,
): LayerPlan | undefined {
  // The buffers are taken after the plan.
  if (!r.planning || !fits(w, config, limits)) return undefined;
  const weights = weightsOf(w).map(([weight, kind]) =>
    r.ownWeight("decoderLayer", weight, kind)
  );
  const { maxStorageBufferBindingSize, maxBufferSize } = limits;
  const most = Math.min(maxStorageBufferBindingSize, maxBufferSize);
  const small = [w.altup.modalityRouter, w.altup.predictionCoefs]
    .concat(w.altup.correctionCoefs) as WebGpuWeight[];
  if (small.some(({ format }) => format !== "f32")) return undefined;
  const group = r.groups.form(weights, most);
  if (group === undefined) return undefined;
  const shape = layerShape(w, config, subgroups, group);
  return new LayerPlan(config, shape, group);
}

/** Whether kernels can be made for these sizes. */
function fits(
  { altup, laurel, selfAttn, mlp, perLayerInputGate }: LayerWeights,
  { numAttentionHeads: N, numKeyValueHeads: K, headDim: H, altupActiveIdx }:
    LayerConfig,
  limits: GPUSupportedLimits,
): boolean {
  const [streams, hidden] = altup.modalityRouter.shape as [number, number];
  const widths = [
    hidden,
    mlp.gateProj.shape[0]!,
    laurel.linearLeft.shape[0]!,
    perLayerInputGate.shape[0]!,
    selfAttn.oProj.shape[1]!,
  ];
  return altupActiveIdx === 0 && ATTEND_HEADS.includes(H) && N % K === 0 &&
    N / K <= MOST_SHARED && widths.every((width) => width % PIECE === 0) &&
    streams ** 2 <= threadsFor(hidden) &&
    limits.maxComputeWorkgroupStorageSize >= WORKGROUP_BYTES;
}

/** All weights of a layer, in the order in which they lie. */
function weightsOf(
  { altup, laurel, selfAttn, mlp, ...w }: LayerWeights,
): (readonly [Weight, "matrix" | "vector"])[] {
  const { keyValue } = selfAttn;
  const vectors = [
    altup.routerNorm,
    w.inputLayernorm,
    selfAttn.qNorm,
    w.postAttentionLayernorm,
    laurel.postLaurelNorm,
    w.preFeedforwardLayernorm,
    w.postFeedforwardLayernorm,
    altup.correctOutputScale,
    w.postPerLayerInputNorm,
  ];
  const matrices = [
    altup.modalityRouter,
    altup.predictionCoefs,
    altup.correctionCoefs,
    selfAttn.qProj,
    laurel.linearLeft,
    selfAttn.oProj,
    laurel.linearRight,
    mlp.gateProj,
    mlp.upProj,
    mlp.downProj,
    w.perLayerInputGate,
    w.perLayerProjection,
  ];
  return [
    ...vectors.map((weight) => [weight, "vector"] as const),
    ...matrices.map((weight) => [weight, "matrix"] as const),
    // Last: what lies before has the same place, and kernels, in all layers.
    ...(keyValue
      ? [
        [keyValue.kProj, "matrix"],
        [keyValue.vProj, "matrix"],
        [keyValue.kNorm, "vector"],
      ] as const
      : []),
  ];
}

function layerShape(
  w: LayerWeights,
  config: LayerConfig,
  subgroups: SubgroupFeatures,
  group: WeightGroup,
): LayerShape {
  const { altup, laurel, selfAttn, mlp } = w;
  const [streams, hidden] = altup.modalityRouter.shape as [number, number];
  return {
    subgroups,
    streams,
    hidden,
    heads: config.numAttentionHeads,
    kvHeads: config.numKeyValueHeads,
    headDim: config.headDim,
    perLayer: w.perLayerInputGate.shape[0]!,
    rank: laurel.linearLeft.shape[0]!,
    intermediate: mlp.gateProj.shape[0]!,
    eps: config.rmsNormEps,
    cutoff: mlp.cutoffMultiplier,
    window: selfAttn.window,
    correctScale: config.altupCorrectScale,
    ...weightPlaces(w, new Places(group)),
  };
}

function weightPlaces(
  { altup, laurel, selfAttn, mlp, ...w }: LayerWeights,
  places: Places,
): LayerPlaces {
  const { keyValue } = selfAttn;
  const vector = (weight: Weight) => places.vector(weight);
  const matrix = (weight: Weight) => places.matrix(weight);
  return {
    routerNorm: vector(altup.routerNorm),
    router: matrix(altup.modalityRouter),
    predictionCoefs: matrix(altup.predictionCoefs).values,
    correctionCoefs: matrix(altup.correctionCoefs).values,
    correctOutputScale: vector(altup.correctOutputScale),
    inputNorm: vector(w.inputLayernorm),
    qProj: matrix(selfAttn.qProj),
    qNorm: vector(selfAttn.qNorm),
    oProj: matrix(selfAttn.oProj),
    keyValue: keyValue && {
      kProj: matrix(keyValue.kProj),
      vProj: matrix(keyValue.vProj),
      kNorm: vector(keyValue.kNorm),
    },
    laurelLeft: matrix(laurel.linearLeft),
    laurelRight: matrix(laurel.linearRight),
    laurelNorm: vector(laurel.postLaurelNorm),
    attentionNorm: vector(w.postAttentionLayernorm),
    preFeedforwardNorm: vector(w.preFeedforwardLayernorm),
    gateProj: matrix(mlp.gateProj),
    upProj: matrix(mlp.upProj),
    downProj: matrix(mlp.downProj),
    postFeedforwardNorm: vector(w.postFeedforwardLayernorm),
    perLayerGate: matrix(w.perLayerInputGate),
    perLayerProjection: matrix(w.perLayerProjection),
    postPerLayerInputNorm: vector(w.postPerLayerInputNorm),
  };
}
