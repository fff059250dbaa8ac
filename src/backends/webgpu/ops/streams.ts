// Before and after the decoder's layers: for one row, one dispatch and two.
import type { Shape } from "../../../core/shape.ts";
import type {
  EmbeddedStreams,
  EmbedStreamsWeights,
  MergeStreamsWeights,
  StreamsEpsilons,
} from "../../../ops/decoder_streams.ts";
import type { Ops, Tensor, Weight } from "../../../ops/ops.ts";
import type { SubgroupFeatures } from "../features.ts";
import {
  type MergeShape,
  mergeStreamsKernel,
} from "../kernels/decoder_layer/merge_streams.ts";
import {
  type ChosenTables,
  embedPlaces,
  type EmbedShape,
  projectEmbeddingKernel,
} from "../kernels/decoder_layer/project_embedding.ts";
import type { StreamsShape } from "../kernels/decoder_layer/streams_shape.ts";
import { unprojectStreamsKernel } from "../kernels/decoder_layer/unproject_streams.ts";
import type { Recorder } from "../recorder.ts";
import { type Binding, F32_BYTES, type WebGpuTensor } from "../tensors.ts";
import type { WeightGroup } from "../weight_groups.ts";
import type { WebGpuWeight } from "../weights.ts";
import { kernelOf, KernelSet, weightReads } from "./kernel_set.ts";
import { PendingAddend } from "./pending_addend.ts";
import { PendingLookup } from "./pending_lookup.ts";
import { PendingMatch } from "./pending_match.ts";
import { Places } from "./weight_places.ts";

/** Rows are divided into pieces of so many elements. */
const PIECE = 8;

/** Embedding and merging the streams of one row. */
export function streamsOps(
  r: Recorder,
  subgroups: SubgroupFeatures,
  limits: GPUSupportedLimits,
): Required<Pick<Ops, "embedStreams" | "mergeStreams">> {
  const planner = new Planner(r, subgroups, limits);
  const embedPlans = new WeakMap<
    EmbedStreamsWeights,
    StreamsPlan<EmbedShape>
  >();
  const mergePlans = new WeakMap<
    MergeStreamsWeights,
    StreamsPlan<MergeShape>
  >();
  return {
    embedStreams(w, embeds, tableRows, eps) {
      if (embeds.shape[0] !== 1) return undefined;
      const plan = embedPlans.get(w) ?? planner.embed(w, eps);
      if (plan) embedPlans.set(w, plan);
      return plan?.group.isReady(r.planning)
        ? embed(r, plan, embeds, tableRows)
        : undefined;
    },
    mergeStreams(w, x, eps) {
      if (x.shape[1] !== 1) return undefined;
      const plan = mergePlans.get(w) ?? planner.merge(w, eps);
      if (plan) mergePlans.set(w, plan);
      return plan?.group.isReady(r.planning)
        ? merge(r, plan, r.ownPending(x))
        : undefined;
    },
  };
}

/** What does not change from step to step. */
interface StreamsPlan<S extends StreamsShape> {
  readonly group: WeightGroup;
  readonly shape: S;
  readonly kernels: KernelSet;
}

/** Plans both operations; `undefined` where there are no kernels, or the weights do not lie together. */
class Planner {
  private readonly r: Recorder;
  private readonly subgroups: SubgroupFeatures;
  private readonly limits: GPUSupportedLimits;

  constructor(
    r: Recorder,
    subgroups: SubgroupFeatures,
    limits: GPUSupportedLimits,
  ) {
    this.r = r;
    this.subgroups = subgroups;
    this.limits = limits;
  }

  embed(
    { altupProjections, perLayerModelProjection }: EmbedStreamsWeights,
    eps: StreamsEpsilons,
  ): StreamsPlan<EmbedShape> | undefined {
    const all = [...altupProjections, perLayerModelProjection];
    const matrices = all.map((w) =>
      this.r.ownWeight("embedStreams", w, "matrix")
    );
    const width = perLayerModelProjection.shape[0]!;
    if (width === 0 || width % PIECE !== 0) return undefined;
    return this.plan(altupProjections, eps, matrices, (places) => ({
      perLayer: places.matrix(perLayerModelProjection),
    }));
  }

  merge(
    { altupUnembedProjections, norm }: MergeStreamsWeights,
    eps: StreamsEpsilons,
  ): StreamsPlan<MergeShape> | undefined {
    const weights = altupUnembedProjections.map((w) =>
      this.r.ownWeight("mergeStreams", w, "matrix")
    );
    weights.push(this.r.ownWeight("mergeStreams", norm, "vector"));
    return this.plan(altupUnembedProjections, eps, weights, (places) => ({
      norm: places.vector(norm),
    }));
  }

  private plan<S extends object>(
    projections: readonly Weight[],
    eps: StreamsEpsilons,
    weights: readonly WebGpuWeight[],
    more: (places: Places) => S,
  ): StreamsPlan<StreamsShape & S> | undefined {
    const { maxStorageBufferBindingSize, maxBufferSize } = this.limits;
    const hidden = projections[0]?.shape[0] ?? 0;
    // The buffers are taken after the plan.
    if (!this.r.planning || hidden === 0 || hidden % PIECE !== 0) {
      return undefined;
    }
    const most = Math.min(maxStorageBufferBindingSize, maxBufferSize);
    const group = this.r.groups.form(weights, most);
    if (group === undefined) return undefined;
    const places = new Places(group);
    const shape = {
      subgroups: this.subgroups,
      streams: projections.length + 1,
      hidden,
      magnitudeEps: eps.magnitude,
      normEps: eps.norm,
      projections: projections.map((w) => places.matrix(w)),
      ...more(places),
    };
    return { group, shape, kernels: new KernelSet(shape) };
  }
}

function embed(
  r: Recorder,
  { group: { region }, shape, kernels }: StreamsPlan<EmbedShape>,
  embeds: Tensor,
  tableRows: Tensor,
): EmbeddedStreams {
  const { streams, hidden, perLayer: { rows } } = shape;
  const places = embedPlaces(shape);
  const chosen = chosenRows(r, embeds, tableRows);
  const kernel = kernels.get(
    `project ${JSON.stringify(chosen?.tables)}`,
    () => projectEmbeddingKernel(shape, chosen?.tables),
  );
  const reads = [
    ...chosen?.reads ?? [r.own(embeds)],
    ...weightReads(kernel, region),
  ];
  const projected = r.room(places.end * F32_BYTES);
  r.dispatch({
    ...kernelOf(kernel),
    reads,
    writes: [projected],
    ...(chosen && { params: [chosen.first] }),
  });
  const part = (shape: Shape, first: number) =>
    r.tensor(projected, shape, first * F32_BYTES);
  if (chosen) {
    r.completeAs(r.ownPending(embeds), part([1, hidden], 0));
    r.completeAs(r.ownPending(tableRows), part([1, rows], places.tableRow));
  }
  const unmatched = part([streams, 1, hidden], 0);
  return {
    streams: r.unfinished(
      unmatched,
      new PendingMatch(r, unmatched, shape, kernels),
    ),
    perLayer: part([1, rows], places.perLayer),
  };
}

/** What the kernel needs to look both rows up itself. */
interface ChosenRows {
  readonly tables: ChosenTables;
  readonly reads: readonly Binding[];
  /** Where the id lies. */
  readonly first: number;
}

/** Both rows where they are still to be looked up, of one token; else `undefined`. */
function chosenRows(
  r: Recorder,
  embeds: Tensor,
  tableRows: Tensor,
): ChosenRows | undefined {
  const [embedding, perLayer] = [r.pendingOf(embeds), r.pendingOf(tableRows)];
  const areLookups = embedding instanceof PendingLookup &&
    perLayer instanceof PendingLookup;
  if (!areLookups || !embedding.isPlain || !perLayer.isPlain) return undefined;
  const { ids, firstChosen } = embedding.chosen;
  const { chosen } = perLayer;
  if (chosen.ids !== ids || chosen.firstChosen !== firstChosen) {
    return undefined;
  }
  const tableOf = ({ table: { format, shape }, scale }: PendingLookup) => ({
    format,
    rows: shape[0]!,
    scale,
  });
  return {
    tables: { embedding: tableOf(embedding), perLayer: tableOf(perLayer) },
    reads: [...embedding.planes, ...perLayer.planes, ids],
    first: firstChosen,
  };
}

function merge(
  r: Recorder,
  { group: { region }, shape, kernels }: StreamsPlan<MergeShape>,
  x: WebGpuTensor,
): WebGpuTensor {
  const { streams, hidden } = shape;
  const { pending } = x;
  const isPending = pending instanceof PendingAddend;
  const last = isPending ? pending.left : r.own(x);
  const projected = r.room((streams - 1) * hidden * F32_BYTES);
  const kernel = kernels.get(
    `unproject ${isPending}`,
    () => unprojectStreamsKernel(shape, isPending),
  );
  r.dispatch({
    ...kernelOf(kernel),
    reads: [last, ...weightReads(kernel, region)],
    writes: [projected],
  });
  const out = r.output([1, hidden]);
  const match = kernels.get("merge", () => mergeStreamsKernel(shape));
  r.dispatch({
    ...kernelOf(match),
    reads: [last, projected, ...weightReads(match, region)],
    writes: [out],
  });
  return out;
}
