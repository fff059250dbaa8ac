// A decoder layer of one row in seven dispatches. What a kernel needs of the one
// before and is cheap to compute, each of its workgroups computes anew: a norm
// costs less than a dispatch.
import { InputError } from "../../../core/errors.ts";
import { formatShape, sameShape } from "../../../core/shape.ts";
import type {
  DecoderLayerOp,
  LayerContext,
  LayerWeights,
} from "../../../ops/decoder_layer.ts";
import type { SubgroupFeatures } from "../features.ts";
import { attendKeys } from "../kernels/decoder_layer/attend_size.ts";
import { MERGED_SPLITS } from "../kernels/decoder_layer/attention_output.ts";
import {
  LONG_SPLITS,
  mergeParts,
} from "../kernels/decoder_layer/merge_splits.ts";
import { projectedSize } from "../kernels/decoder_layer/project.ts";
import type { StreamsLack } from "../kernels/decoder_layer/project_streams.ts";
import type { Recorder } from "../recorder.ts";
import {
  type Binding,
  F32_BYTES,
  type StepBuffer,
  type WebGpuKvStore,
  type WebGpuTensor,
} from "../tensors.ts";
import { kernelOf } from "./kernel_set.ts";
import { type LayerPlan, layerPlan } from "./layer_plan.ts";
import { PendingAddend } from "./pending_addend.ts";
import { PendingMatch } from "./pending_match.ts";
import {
  type KeyDivision,
  type LayerOutputs,
  RecordedLayer,
} from "./recorded_layer.ts";

/** Tiles of keys above which splits are merged by a dispatch of their own. */
const LONG_TILES = 4 * MERGED_SPLITS;
/** Tiles that such a split has at least. */
const LONG_SPLIT_TILES = 2;

/** A decoder layer of one row. */
export function decoderLayerOp(
  r: Recorder,
  subgroups: SubgroupFeatures,
  limits: GPUSupportedLimits,
): DecoderLayerOp {
  const plans = new WeakMap<LayerWeights, LayerPlan>();
  return (w, config, x, context) => {
    if (x.shape[1] !== 1 || context.segments.length !== 1) return undefined;
    let plan = plans.get(w);
    if (plan === undefined) {
      plan = layerPlan(r, w, config, subgroups, limits);
      if (plan === undefined) return undefined;
      plans.set(w, plan);
    }
    if (plan.config !== config || !plan.group.isReady(r.planning)) {
      return undefined;
    }
    return new LayerRecording(r, plan, context).record(r.ownPending(x));
  };
}

/** The streams that a layer reads, and what they lack. */
interface StreamsBefore {
  readonly streams: WebGpuTensor;
  /** An addend and the weight of its norm, or nothing. */
  readonly addend: readonly WebGpuTensor[];
  readonly norm: readonly Binding[];
  readonly lack: StreamsLack;
}

/** A layer in a step. */
class LayerRecording {
  private readonly r: Recorder;
  private readonly plan: LayerPlan;
  private readonly context: LayerContext;
  private readonly store: WebGpuKvStore;
  private readonly tables: readonly WebGpuTensor[];

  constructor(r: Recorder, plan: LayerPlan, context: LayerContext) {
    this.r = r;
    this.plan = plan;
    this.context = context;
    this.store = r.ownStore("decoderLayer", context.stores[0]!);
    const { kvHeads, headDim } = plan.shape;
    if (this.store.kvHeads !== kvHeads || this.store.headDim !== headDim) {
      throw new InputError(
        `Cannot record "decoderLayer": found a store of ${this.store.kvHeads} ` +
          `heads of ${this.store.headDim}, wanted ${kvHeads} of ${headDim}`,
      );
    }
    const { cos, sin } = context.rope;
    this.tables = [this.table(cos), this.table(sin)];
  }

  record(x: WebGpuTensor): WebGpuTensor {
    const { r, plan } = this;
    const { streams: A, hidden: D, perLayer: P } = plan.shape;
    this.requireShape("streams", x, [A, 1, D]);
    const perLayerInput = r.own(this.context.perLayerInput);
    this.requireShape("per-layer input", perLayerInput, [1, P]);
    const { streams, addend, norm, lack } = this.streamsOf(x);
    const division = this.division();
    const before = [streams, ...addend];
    const inputs = [...before, perLayerInput, ...this.tables];
    const known = plan.recorded;
    const outputs = known?.isOf(r, inputs, this.store, division)
      ? known.repeat(r, this.position)
      : this.recordAnew(inputs, {
        reads: [...before, ...norm],
        lack,
        perLayerInput,
        division,
      });
    const corrected = r.tensor(outputs.corrected, [A, 1, D]);
    const left = r.tensor(outputs.addend, [D]);
    return r.unfinished(corrected, new PendingAddend(r, plan, corrected, left));
  }

  /** The streams as they are, and what they lack. */
  private streamsOf(x: WebGpuTensor): StreamsBefore {
    const { r } = this;
    const { pending } = x;
    if (pending instanceof PendingAddend) {
      const { streams, addend, plan } = pending;
      const norm = [plan.addendNorm];
      return { streams, addend: [addend], norm, lack: { pending: true } };
    }
    const [addend, norm] = [[], []];
    if (pending instanceof PendingMatch) {
      const { unmatched, magnitudeEps } = pending;
      const lack = { unmatched: { magnitudeEps } };
      return { streams: unmatched, addend, norm, lack };
    }
    return { streams: r.own(x), addend, norm, lack: {} };
  }

  /** Records the seven dispatches; a later step may repeat them. */
  private recordAnew(
    inputs: readonly WebGpuTensor[],
    { reads, lack, perLayerInput, division }: {
      readonly reads: readonly Binding[];
      readonly lack: StreamsLack;
      readonly perLayerInput: WebGpuTensor;
      readonly division: KeyDivision;
    },
  ): LayerOutputs {
    const { r, plan } = this;
    const { streams, hidden, perLayer } = plan.shape;
    let outputs: LayerOutputs;
    const part = r.part(() => {
      const { state, projected } = this.project(reads, lack);
      const attended = this.attentionOutput(projected, division);
      const { mid, feedforward } = this.mlp(attended, state);
      const corrected = this.floats(streams * hidden);
      const gated = this.floats(perLayer);
      r.dispatch({
        ...kernelOf(plan.correct),
        reads: [feedforward, mid, state, perLayerInput, ...this.weights],
        writes: [corrected, gated],
      });
      const addend = this.floats(hidden);
      r.dispatch({
        ...kernelOf(plan.perLayerProjection),
        reads: [gated, ...this.weights],
        writes: [addend],
      });
      outputs = { corrected, addend };
    });
    plan.recorded = r.planning
      ? undefined
      : new RecordedLayer(part, inputs, this.store, division, outputs!);
    return outputs!;
  }

  /** The buffer of the weights, as words and as quads. */
  private get weights(): readonly Binding[] {
    const { region } = this.plan.group;
    return [region, region];
  }

  private floats(count: number): StepBuffer {
    return this.r.room(count * F32_BYTES);
  }

  private project(
    before: readonly Binding[],
    lack: StreamsLack,
  ): Record<"state" | "projected", StepBuffer> {
    const { r, plan } = this;
    const { streams, hidden } = plan.shape;
    const state = this.floats((streams + 1) * hidden);
    const projected = this.floats(projectedSize(plan.shape));
    r.dispatch({
      ...kernelOf(plan.project(lack)),
      reads: [...before, ...this.weights],
      writes: [state, projected],
    });
    return { state, projected };
  }

  /** Attention and LAuReL, `[2, D]`. */
  private attentionOutput(
    projected: StepBuffer,
    division: KeyDivision,
  ): StepBuffer {
    const { splits } = division;
    const { r, plan } = this;
    const { heads, headDim, hidden } = plan.shape;
    const { partials, statistics } = this.attend(projected, division);
    const outputs = this.floats(2 * hidden);
    if (splits <= MERGED_SPLITS) {
      r.dispatch({
        ...kernelOf(plan.attentionOutput(false)),
        reads: [partials, statistics, projected, ...this.weights],
        writes: [outputs],
        params: [splits],
      });
      return outputs;
    }
    const attended = this.floats(heads * headDim);
    r.dispatch({
      ...kernelOf(plan.mergeSplits),
      reads: [partials, statistics],
      writes: [attended],
      params: [splits],
      workgroups: [heads, mergeParts(plan.shape), 1],
    });
    r.dispatch({
      ...kernelOf(plan.attentionOutput(true)),
      reads: [attended, projected, ...this.weights],
      writes: [outputs],
    });
    return outputs;
  }

  private attend(
    projected: StepBuffer,
    { tileKeys, splits }: KeyDivision,
  ): Record<"partials" | "statistics", StepBuffer> {
    const { r, plan, store } = this;
    const { heads, headDim, kvHeads, keyValue } = plan.shape;
    const partials = this.floats(heads * splits * headDim);
    const statistics = this.floats(heads * splits * 2);
    const rings = [store.keys, store.values];
    r.dispatch({
      ...kernelOf(plan.attend(store.dtype, tileKeys)),
      reads: [
        projected,
        plan.group.region,
        ...this.tables,
        ...(keyValue ? [] : rings),
      ],
      writes: [...(keyValue ? rings : []), partials, statistics],
      params: [this.position, store.capacity],
      cost: 2 * heads * headDim * this.seen,
      workgroups: [kvHeads, splits, 1],
    });
    return { partials, statistics };
  }

  private mlp(
    outputs: StepBuffer,
    state: StepBuffer,
  ): Record<"mid" | "feedforward", StepBuffer> {
    const { r, plan } = this;
    const { hidden, intermediate, cutoff } = plan.shape;
    const isSparse = cutoff !== undefined;
    const mid = this.floats(hidden);
    const activated = this.floats((isSparse ? 2 : 1) * intermediate);
    const gateStatistics = isSparse
      ? [this.floats(2 * plan.gateUp.groups)]
      : [];
    r.dispatch({
      ...kernelOf(plan.gateUp),
      reads: [outputs, state, ...this.weights],
      writes: [mid, activated, ...gateStatistics],
    });
    const feedforward = this.floats(hidden);
    r.dispatch({
      ...kernelOf(plan.down),
      reads: [activated, ...gateStatistics, ...this.weights],
      writes: [feedforward],
    });
    return { mid, feedforward };
  }

  private get position(): number {
    return this.context.segments[0]!.firstPosition;
  }

  /** Keys that the row sees. */
  private get seen(): number {
    return Math.min(this.position + 1, this.plan.shape.window ?? Infinity);
  }

  /**
   * How the keys are divided. Splits are a power of two, so that steps of a
   * growing context record the same sizes for long; a tile each where that is
   * few: the tiles of a split come one after another, and a split without one
   * costs little.
   */
  private division(): KeyDivision {
    const tileKeys = attendKeys(this.plan.shape, this.seen);
    const tiles = Math.ceil(this.seen / tileKeys);
    const splits = tiles <= LONG_TILES
      ? Math.min(MERGED_SPLITS, 2 ** Math.ceil(Math.log2(tiles)))
      : 2 ** Math.floor(Math.log2(
        Math.min(LONG_SPLITS, tiles / LONG_SPLIT_TILES),
      ));
    return { tileKeys, splits };
  }

  private table(x: WebGpuTensor | LayerContext["rope"]["cos"]): WebGpuTensor {
    const own = this.r.own(x);
    this.requireShape("table", own, [1, this.plan.shape.headDim / 2]);
    return own;
  }

  private requireShape(
    what: string,
    { shape }: WebGpuTensor,
    wanted: readonly number[],
  ): void {
    if (sameShape(shape, wanted)) return;
    throw new InputError(
      `Cannot record "decoderLayer": found ${what} of shape ` +
        `${formatShape(shape)}, wanted ${formatShape(wanted)}`,
    );
  }
}
