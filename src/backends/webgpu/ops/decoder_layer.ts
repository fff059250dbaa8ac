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
import type { Tensor } from "../../../ops/ops.ts";
import type { SubgroupFeatures } from "../features.ts";
import { attendKeys } from "../kernels/decoder_layer/attend_size.ts";
import { MERGED_SPLITS } from "../kernels/decoder_layer/attention_output.ts";
import {
  LONG_SPLITS,
  mergeParts,
} from "../kernels/decoder_layer/merge_splits.ts";
import type { LayerKernel } from "../kernels/decoder_layer/layer_shape.ts";
import {
  correctedPlaces,
  expandedPlaces,
  leftPlaces,
  preparedPlaces,
} from "../kernels/decoder_layer/left_places.ts";
import type { StreamsLack } from "../kernels/decoder_layer/project_streams.ts";
import type { Recorder } from "../recorder.ts";
import {
  type Binding,
  F32_BYTES,
  type StepBuffer,
  type WebGpuKvStore,
  type WebGpuTensor,
} from "../tensors.ts";
import { stack } from "./data.ts";
import { kernelOf, weightReads } from "./kernel_set.ts";
import { type LayerPlan, layerPlan } from "./layer_plan.ts";
import { PendingAddend } from "./pending_addend.ts";
import { PendingMatch } from "./pending_match.ts";
import {
  attendParams,
  type KeyDivision,
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
    const store = r.ownStore("decoderLayer", context.stores[0]!);
    const fits = store.rings.bytes <= limits.maxStorageBufferBindingSize;
    const isReady = plan.group.isReady(r.planning);
    if (plan.config !== config || !fits || !isReady) return undefined;
    const recording = new LayerRecording(r, plan, context, store);
    return recording.record(r.ownPending(x));
  };
}

/** The streams that a layer reads, and what they lack. */
interface StreamsBefore {
  readonly streams: WebGpuTensor;
  readonly lack: StreamsLack;
}

/** A layer in a step. */
class LayerRecording {
  private readonly r: Recorder;
  private readonly plan: LayerPlan;
  private readonly context: LayerContext;
  private readonly store: WebGpuKvStore;
  /** Cosines and sines, `[2, 1, H / 2]`. */
  private readonly table: WebGpuTensor;

  constructor(
    r: Recorder,
    plan: LayerPlan,
    context: LayerContext,
    store: WebGpuKvStore,
  ) {
    this.r = r;
    this.plan = plan;
    this.context = context;
    this.store = store;
    const { kvHeads, headDim } = plan.shape;
    if (this.store.kvHeads !== kvHeads || this.store.headDim !== headDim) {
      throw new InputError(
        `Cannot record "decoderLayer": found a store of ${this.store.kvHeads} ` +
          `heads of ${this.store.headDim}, wanted ${kvHeads} of ${headDim}`,
      );
    }
    const { cos, sin } = context.rope;
    this.table = this.joined(this.half(cos), this.half(sin));
  }

  record(x: WebGpuTensor): WebGpuTensor {
    const { r, plan } = this;
    const { streams: A, hidden: D, perLayer: P } = plan.shape;
    this.requireShape("streams", x, [A, 1, D]);
    const perLayerInput = r.own(this.context.perLayerInput);
    this.requireShape("per-layer input", perLayerInput, [1, P]);
    const before = this.streamsOf(x);
    const division = this.division();
    const inputs = [before.streams, perLayerInput, this.table];
    const known = plan.recorded;
    const buffer = known?.isOf(r, inputs, this.store, division)
      ? known.repeat(r, this.position)
      : this.recordAnew(before, perLayerInput, division);
    const shape = [A, 1, D];
    const left = r.tensor(buffer, [buffer.bytes / F32_BYTES]);
    return r.unfinished(
      r.tensor(buffer, shape),
      new PendingAddend(r, plan, left, shape),
    );
  }

  /** The streams as they are, and what they lack. */
  private streamsOf(x: WebGpuTensor): StreamsBefore {
    const { r } = this;
    const { pending } = x;
    if (pending instanceof PendingAddend) {
      return { streams: pending.left, lack: { pending: true } };
    }
    if (pending instanceof PendingMatch) {
      const { unmatched, magnitudeEps } = pending;
      return { streams: unmatched, lack: { unmatched: { magnitudeEps } } };
    }
    return { streams: r.own(x), lack: {} };
  }

  /** Records the seven dispatches; a later step may repeat them. */
  private recordAnew(
    before: StreamsBefore,
    perLayerInput: WebGpuTensor,
    division: KeyDivision,
  ): StepBuffer {
    const { r, plan } = this;
    let left: StepBuffer;
    const part = r.part(() => {
      const projected = this.project(before);
      const attended = this.attentionOutput(projected, division);
      const corrected = this.mlp(attended, projected, perLayerInput);
      left = this.floats(leftPlaces(plan.shape).end);
      this.dispatch(plan.perLayerProjection, [corrected], left);
    });
    const inputs = [before.streams, perLayerInput, this.table];
    plan.recorded = r.planning
      ? undefined
      : new RecordedLayer(part, inputs, this.store, division, left!);
    return left!;
  }

  /** Records a kernel that reads these, and its weights. */
  private dispatch(
    kernel: LayerKernel,
    reads: readonly Binding[],
    to: StepBuffer,
  ): void {
    this.r.dispatch({
      ...kernelOf(kernel),
      reads: [...reads, ...weightReads(kernel, this.plan.group.region)],
      writes: [to],
    });
  }

  private floats(count: number): StepBuffer {
    return this.r.room(count * F32_BYTES);
  }

  private project({ streams, lack }: StreamsBefore): StepBuffer {
    const { plan } = this;
    const projected = this.floats(preparedPlaces(plan.shape).end);
    this.dispatch(plan.project(lack), [streams], projected);
    return projected;
  }

  /** Attention and LAuReL, `[2, D]`. */
  private attentionOutput(
    projected: StepBuffer,
    division: KeyDivision,
  ): StepBuffer {
    const { r, plan } = this;
    const { heads, headDim, hidden } = plan.shape;
    const partials = this.attend(projected, division);
    const outputs = this.floats(2 * hidden);
    if (division.splits <= MERGED_SPLITS) {
      const kernel = plan.attentionOutput(false);
      this.dispatch(kernel, [partials, projected], outputs);
      return outputs;
    }
    const attended = this.floats(heads * headDim);
    r.dispatch({
      ...kernelOf(plan.mergeSplits),
      reads: [partials],
      writes: [attended],
      workgroups: [heads, mergeParts(plan.shape), 1],
    });
    this.dispatch(plan.attentionOutput(true), [attended, projected], outputs);
    return outputs;
  }

  /** What each split of the keys gives: a quad for each, then `[N, splits, H]`. */
  private attend(
    projected: StepBuffer,
    { tileKeys, splits }: KeyDivision,
  ): StepBuffer {
    const { r, plan, store } = this;
    const { heads, headDim, kvHeads, keyValue } = plan.shape;
    const partials = this.floats(heads * splits * (4 + headDim));
    const rings = [store.rings];
    r.dispatch({
      ...kernelOf(plan.attend(store.dtype, tileKeys)),
      reads: [projected, this.table, ...(keyValue ? [] : rings)],
      writes: [...(keyValue ? rings : []), partials],
      params: attendParams(store, this.position),
      cost: 2 * heads * headDim * this.seen,
      workgroups: [kvHeads, splits, 1],
    });
    return partials;
  }

  /** The MLP, and what it corrects. */
  private mlp(
    outputs: StepBuffer,
    state: StepBuffer,
    perLayerInput: WebGpuTensor,
  ): StepBuffer {
    const { plan } = this;
    const { shape, gateUp } = plan;
    const expanded = this.floats(expandedPlaces(shape, gateUp.groups).end);
    this.dispatch(gateUp, [outputs, state], expanded);
    const feedforward = this.floats(shape.hidden);
    this.dispatch(plan.down, [expanded], feedforward);
    const corrected = this.floats(correctedPlaces(shape).end);
    const reads = [feedforward, expanded, state, perLayerInput];
    this.dispatch(plan.correct, reads, corrected);
    return corrected;
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

  private half(x: Tensor): WebGpuTensor {
    const own = this.r.own(x);
    this.requireShape("table", own, [1, this.plan.shape.headDim / 2]);
    return own;
  }

  /** Both halves of a table, which lie side by side already where one tensor had them. */
  private joined(cos: WebGpuTensor, sin: WebGpuTensor): WebGpuTensor {
    const { r } = this;
    const width = this.plan.shape.headDim / 2;
    const shape = [2, 1, width];
    const follows = sin.buffer === cos.buffer &&
      sin.offset === cos.offset + width * F32_BYTES;
    if (follows) return r.tensor(cos.buffer, shape, cos.offset);
    const both = r.once("table", cos, () => stack(r, [cos, sin], shape).buffer);
    return r.tensor(both, shape);
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
