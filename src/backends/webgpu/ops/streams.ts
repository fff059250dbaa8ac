// Before and after the decoder's layers: for one row, two dispatches each.
import type {
  EmbedStreamsWeights,
  MergeStreamsWeights,
  StreamsEpsilons,
} from "../../../ops/decoder_streams.ts";
import type { Ops, Weight } from "../../../ops/ops.ts";
import type { SubgroupFeatures } from "../features.ts";
import { matchStreamsKernel } from "../kernels/decoder_layer/match_streams.ts";
import { mergeStreamsKernel } from "../kernels/decoder_layer/merge_streams.ts";
import { projectEmbeddingKernel } from "../kernels/decoder_layer/project_embedding.ts";
import type { StreamsShape } from "../kernels/decoder_layer/streams_shape.ts";
import { unprojectStreamsKernel } from "../kernels/decoder_layer/unproject_streams.ts";
import type { Recorder } from "../recorder.ts";
import { F32_BYTES, type WebGpuTensor } from "../tensors.ts";
import type { WeightGroup } from "../weight_groups.ts";
import { kernelOf, KernelSet } from "./kernel_set.ts";
import { PendingAddend } from "./pending_addend.ts";
import { Places } from "./weight_places.ts";

/** Rows are divided into pieces of so many elements. */
const PIECE = 8;

/** Embedding and merging the streams of one row. */
export function streamsOps(
  r: Recorder,
  subgroups: SubgroupFeatures,
  limits: GPUSupportedLimits,
): Required<Pick<Ops, "embedStreams" | "mergeStreams">> {
  const embedPlans = new WeakMap<EmbedStreamsWeights, StreamsPlan>();
  const mergePlans = new WeakMap<MergeStreamsWeights, StreamsPlan>();
  const planned = <W extends object>(
    plans: WeakMap<W, StreamsPlan>,
    w: W,
    weights: StreamsWeights,
    eps: StreamsEpsilons,
  ) => {
    const plan = plans.get(w) ??
      streamsPlan(r, weights, eps, subgroups, limits);
    if (plan) plans.set(w, plan);
    return plan?.group.isReady(r.planning) ? plan : undefined;
  };
  return {
    embedStreams(w, embeds, eps) {
      if (embeds.shape[0] !== 1) return undefined;
      const projections = w.altupProjections;
      const plan = planned(embedPlans, w, { projections }, eps);
      return plan && embed(r, plan, r.own(embeds));
    },
    mergeStreams(w, x, eps) {
      if (x.shape[1] !== 1) return undefined;
      const projections = w.altupUnembedProjections;
      const plan = planned(mergePlans, w, { projections, norm: w.norm }, eps);
      return plan && merge(r, plan, r.ownPending(x));
    },
  };
}

/** Weights of either operation. */
interface StreamsWeights {
  readonly projections: readonly Weight[];
  readonly norm?: Weight;
}

/** What does not change from step to step. */
interface StreamsPlan {
  readonly group: WeightGroup;
  readonly shape: StreamsShape;
  readonly kernels: KernelSet;
}

/** `undefined` where there are no kernels for it, or its weights do not lie together. */
function streamsPlan(
  r: Recorder,
  { projections, norm }: StreamsWeights,
  eps: StreamsEpsilons,
  subgroups: SubgroupFeatures,
  { maxStorageBufferBindingSize, maxBufferSize }: GPUSupportedLimits,
): StreamsPlan | undefined {
  const hidden = projections[0]?.shape[0] ?? 0;
  // The buffers are taken after the plan.
  if (!r.planning || hidden === 0 || hidden % PIECE !== 0) return undefined;
  const weights = projections.map((w) => r.ownWeight("streams", w, "matrix"));
  if (norm) weights.push(r.ownWeight("mergeStreams", norm, "vector"));
  const most = Math.min(maxStorageBufferBindingSize, maxBufferSize);
  const group = r.groups.form(weights, most);
  if (group === undefined) return undefined;
  const places = new Places(group);
  const shape = {
    subgroups,
    streams: projections.length + 1,
    hidden,
    magnitudeEps: eps.magnitude,
    normEps: eps.norm,
    projections: projections.map((w) => places.matrix(w)),
    norm: norm ? places.vector(norm) : 0,
  };
  return { group, shape, kernels: new KernelSet(shape) };
}

function embed(
  r: Recorder,
  { group: { region }, shape, kernels }: StreamsPlan,
  embeds: WebGpuTensor,
): WebGpuTensor {
  const { streams, hidden } = shape;
  const projected = r.room((streams - 1) * hidden * F32_BYTES);
  r.dispatch({
    ...kernelOf(kernels.get("project", () => projectEmbeddingKernel(shape))),
    reads: [embeds, region, region],
    writes: [projected],
  });
  const out = r.output([streams, 1, hidden]);
  r.dispatch({
    ...kernelOf(kernels.get("match", () => matchStreamsKernel(shape))),
    reads: [embeds, projected],
    writes: [out],
  });
  return out;
}

function merge(
  r: Recorder,
  { group: { region }, shape, kernels }: StreamsPlan,
  x: WebGpuTensor,
): WebGpuTensor {
  const { streams, hidden } = shape;
  const { pending } = x;
  const isPending = pending instanceof PendingAddend;
  const last = isPending ? pending.streams : r.own(x);
  const addend = isPending ? [pending.addend, pending.plan.addendNorm] : [];
  const projected = r.room((streams - 1) * hidden * F32_BYTES);
  const kernel = kernels.get(
    `unproject ${isPending}`,
    () => unprojectStreamsKernel(shape, isPending),
  );
  r.dispatch({
    ...kernelOf(kernel),
    reads: [last, ...addend, region, region],
    writes: [projected],
  });
  const out = r.output([1, hidden]);
  r.dispatch({
    ...kernelOf(kernels.get("merge", () => mergeStreamsKernel(shape))),
    reads: [last, projected, region],
    writes: [out],
  });
  return out;
}
