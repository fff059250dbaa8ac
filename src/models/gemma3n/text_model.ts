// The decoder over one step: rows of several sequences in, hidden states and
// logits of the wanted rows out. Transformers' Gemma3nTextModel.
import type {
  EmbeddedStreams,
  StreamsEpsilons,
} from "../../ops/decoder_streams.ts";
import type { KvStore, Ops, Segment, Tensor } from "../../ops/ops.ts";
import type { Gemma3nTextConfig } from "./config.ts";
import { decoderLayer } from "./decoder_layer.ts";
import { kvLayerIndices, numKvOwningLayers } from "./kv_sharing.ts";
import { mixPerLayerInputs } from "./per_layer_inputs.ts";
import type { RopeByLayerType, RopeTables } from "./rope.ts";
import type { TextWeights } from "./text_weights.ts";

/** HF guards the magnitude that altup projections are matched to. */
const MAGNITUDE_EPS = 1e-5;

/** Rows of a step. */
export interface TextStep {
  readonly embeds: Tensor; // [T, D]
  /** Rows of the per-layer embedding table, scaled: `[T, L * P]`. */
  readonly tableRows: Tensor;
  readonly segments: readonly Segment[];
  /** Stores of each segment's sequence, one for each owning layer. */
  readonly stores: readonly (readonly KvStore[])[];
  readonly rope: RopeByLayerType;
  /** Rows whose output is wanted, ascending. */
  readonly keep: Int32Array;
  /** Run the KV-shared layers for the kept rows only. */
  readonly fastPrefill: boolean;
  /** Also give the streams before each layer and after the last. */
  readonly outputHiddenStates: boolean;
}

/** What a step gives. */
export interface TextStepOutput {
  /** Normed hidden states of the kept rows, `[keep.length, D]`; `undefined` when none is wanted. */
  readonly hidden: Tensor | undefined;
  /** `[A, T, D]` before each layer and after the last. */
  readonly hiddenStates: readonly Tensor[];
}

/** Runs the decoder. */
export function textModel(
  ops: Ops,
  w: TextWeights,
  config: Gemma3nTextConfig,
  step: TextStep,
): TextStepOutput {
  const shared = numKvOwningLayers(config);
  const kvLayer = kvLayerIndices(config);
  const { streams, perLayer } = embedStreams(ops, w, config, step);
  let rows = allRows(ops, w, config, step, perLayer);
  let x = streams;
  const hiddenStates: Tensor[] = [];

  for (let i = 0; i < config.numHiddenLayers; i++) {
    if (i === shared && step.fastPrefill) {
      if (step.keep.length === 0) return { hidden: undefined, hiddenStates };
      if (step.keep.length < x.shape[1]!) {
        x = keepStreams(ops, x, step.keep);
        rows = keepRows(ops, rows, step.keep);
      }
    }
    if (step.outputHiddenStates) hiddenStates.push(x);
    x = decoderLayer(ops, w.layers[i]!, config, x, {
      segments: rows.segments,
      stores: rows.stores.map((s) => s[kvLayer[i]!]!),
      rope: rows.rope[config.layerTypes[i]!],
      perLayerInput: perLayerInput(ops, config, rows, i),
    });
  }
  if (step.outputHiddenStates) hiddenStates.push(x);
  if (step.keep.length === 0) return { hidden: undefined, hiddenStates };
  if (x.shape[1] !== step.keep.length) x = keepStreams(ops, x, step.keep);
  return { hidden: mergeStreams(ops, w, config, x), hiddenStates };
}

/** The head: hidden states `[T, D]` -> soft-capped logits `[T, V]`. */
export function textLogits(
  ops: Ops,
  w: TextWeights,
  config: Gemma3nTextConfig,
  hidden: Tensor,
): Tensor {
  const logits = ops.matmul(hidden, w.lmHead);
  const cap = config.finalLogitSoftcapping;
  return cap === undefined ? logits : ops.softcap(logits, cap);
}

/** What all layers share about the rows they run for. */
interface StepRows {
  readonly segments: readonly Segment[];
  readonly stores: readonly (readonly KvStore[])[];
  readonly rope: RopeByLayerType;
  readonly perLayerInputs: Tensor; // [T, L * P]
}

function allRows(
  ops: Ops,
  w: TextWeights,
  config: Gemma3nTextConfig,
  step: TextStep,
  projected: Tensor,
): StepRows {
  return {
    segments: step.segments,
    stores: step.stores,
    rope: step.rope,
    perLayerInputs: mixPerLayerInputs(
      ops,
      w,
      config,
      projected,
      step.tableRows,
    ),
  };
}

function perLayerInput(
  ops: Ops,
  config: Gemma3nTextConfig,
  rows: StepRows,
  layer: number,
): Tensor {
  const P = config.hiddenSizePerLayerInput;
  return ops.columns(rows.perLayerInputs, layer * P, P);
}

// Fast prefill: from the first KV-shared layer on, a row neither writes keys
// and values nor is read by other rows, so only the wanted rows go on.
function keepRows(ops: Ops, rows: StepRows, keep: Int32Array): StepRows {
  const gather = (x: Tensor) => ops.gatherRows([x], keep);
  const tables = (t: RopeTables): RopeTables => ({
    cos: gather(t.cos),
    sin: gather(t.sin),
  });
  const kept = keepSegments(rows.segments, keep);
  return {
    segments: kept.map((k) => k.segment),
    stores: kept.map((k) => rows.stores[k.source]!),
    rope: {
      sliding_attention: tables(rows.rope.sliding_attention),
      full_attention: tables(rows.rope.full_attention),
    },
    perLayerInputs: gather(rows.perLayerInputs),
  };
}

/** Segments of the kept rows, numbered anew, with the index of the segment each came from. */
export function keepSegments(
  segments: readonly Segment[],
  keep: Int32Array,
): { segment: Segment; source: number }[] {
  const out: { segment: Segment; source: number }[] = [];
  let previous = { row: -2, source: -1 };
  keep.forEach((row, firstRow) => {
    const source = segments.findIndex((s) =>
      row >= s.firstRow && row < s.firstRow + s.rows
    );
    const from = segments[source]!;
    const last = out.at(-1);
    if (last && source === previous.source && row === previous.row + 1) {
      last.segment = { ...last.segment, rows: last.segment.rows + 1 };
    } else {
      const firstPosition = from.firstPosition + row - from.firstRow;
      out.push({ segment: { firstRow, rows: 1, firstPosition }, source });
    }
    previous = { row, source };
  });
  return out;
}

function keepStreams(ops: Ops, x: Tensor, keep: Int32Array): Tensor {
  const streams = x.shape[0]!;
  return ops.stack(
    Array.from(
      { length: streams },
      (_, a) => ops.gatherRows([ops.at(x, a)], keep),
    ),
  );
}

// [T, D] -> [A, T, D]: the embedding, and projections of its magnitude. Beside
// them [T, L * P]: projections for the layers.
function embedStreams(
  ops: Ops,
  w: TextWeights,
  config: Gemma3nTextConfig,
  { embeds, tableRows }: TextStep,
): EmbeddedStreams {
  const whole = ops.embedStreams?.(w, embeds, tableRows, epsilons(config));
  if (whole !== undefined) return whole;
  const perLayer = ops.matmul(embeds, w.perLayerModelProjection);
  const others = w.altupProjections.map((projection) =>
    ops.matchMagnitude(ops.matmul(embeds, projection), embeds, MAGNITUDE_EPS)
  );
  const streams = config.altupNumInputs === 1
    ? ops.reshape(embeds, [1, ...embeds.shape])
    : ops.stack([embeds, ...others]);
  return { streams, perLayer };
}

function epsilons({ rmsNormEps }: Gemma3nTextConfig): StreamsEpsilons {
  return { magnitude: MAGNITUDE_EPS, norm: rmsNormEps };
}

// [A, T, D] -> [T, D]: the mean of the streams, each projected back, normed.
function mergeStreams(
  ops: Ops,
  w: TextWeights,
  config: Gemma3nTextConfig,
  x: Tensor,
): Tensor {
  const whole = ops.mergeStreams?.(w, x, epsilons(config));
  if (whole !== undefined) return whole;
  const mean = meanStream(ops, w, config, x);
  return ops.rmsNorm(mean, w.norm, config.rmsNormEps);
}

function meanStream(
  ops: Ops,
  w: TextWeights,
  config: Gemma3nTextConfig,
  x: Tensor,
): Tensor {
  const first = ops.at(x, 0);
  if (config.altupNumInputs === 1) return first;
  const others = w.altupUnembedProjections.map((projection, i) =>
    ops.matchMagnitude(
      ops.matmul(ops.at(x, i + 1), projection),
      first,
      MAGNITUDE_EPS,
    )
  );
  return ops.meanStreams(ops.stack([first, ...others]));
}
