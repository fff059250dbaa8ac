// The text decoder's operations.
import type { CacheDtype } from "../../../core/dtype.ts";
import { numel } from "../../../core/shape.ts";
import type { AttentionOptions, Ops, Segment } from "../../../ops/ops.ts";
import { shapes } from "../../../ops/shapes.ts";
import { OP } from "../op_codes.ts";
import type { Recorder, Work } from "../recorder.ts";
import {
  F32_BYTES,
  ringBytes,
  ringRows,
  type WasmKvStore,
  type WasmTensor,
} from "../tensors.ts";
import { COPY_COST, elementWork, rowWork, workOf } from "./rows.ts";

/** Operations of this group. */
type DecoderOps = Pick<
  Ops,
  | "rope"
  | "appendKv"
  | "attention"
  | "altupPredict"
  | "altupCorrect"
  | "addToStreams"
  | "meanStreams"
>;

/** Time of a query-key pair for each element of a head, both products. */
export const ATTENTION_COST = 0.2;
/** Heads that meet a key together. */
export const HEAD_GROUP = 4;
/** Rows that meet keys and values together, as in rust/kernels/src/attention_rows.rs. */
const ROW_BLOCK = 8;
/** Room of several rows: their queries, and blocks of 32 keys and values. */
const ROOM_HEADS = ROW_BLOCK * HEAD_GROUP + 2 * 32;
/** What `appendKv` is given. */
export const KEYS = 1;
const VALUES = 0;
/** How keys and values are kept, as in rust/kernels/src/dispatch_text.rs. */
const KEPT_AS: Readonly<Record<CacheDtype, number>> = { f32: 0, f16: 1, q8: 2 };
/** What `appendKv` is told of memory that holds floats: how, and no poison. */
export const AS_FLOATS: readonly number[] = [KEPT_AS.f32, 0];

/** The text decoder's operations. */
export function decoderOps(r: Recorder): DecoderOps {
  return {
    rope(x, cos, sin) {
      const out = r.output(shapes.rope(x, cos, sin));
      const [rows, heads, width] = out.shape as readonly [
        number,
        number,
        number,
      ];
      r.begin(OP.rope, workOf(heads * width === 0 ? 0 : rows, heads * width))
        .tensor(r.own(x)).tensor(r.own(cos)).tensor(r.own(sin)).tensor(out)
        .sizes(heads, width);
      return out;
    },
    appendKv(stores, segments, k, v) {
      shapes.appendKv(stores, segments, k, v);
      segments.forEach((_, i) => {
        const store = r.ownStore("appendKv", stores[i]!);
        for (const [ring, x] of [k, v].entries()) {
          appendRing(r, store, ring, segments, i, r.own(x));
        }
      });
    },
    attention(q, stores, segments, options) {
      const out = r.output(shapes.attention(q, stores, segments, options));
      segments.forEach((_, i) => {
        const store = r.ownStore("attention", stores[i]!);
        attend(r, store, segments, i, r.own(q), out, options);
      });
      return out;
    },
    ...streamOps(r),
  };
}

/** Writes a segment's keys (ring 0) or values (ring 1). */
function appendRing(
  r: Recorder,
  store: WasmKvStore,
  ring: number,
  segments: readonly Segment[],
  index: number,
  x: WasmTensor,
): void {
  const { kvHeads, headDim } = store;
  const { firstRow, rows } = segments[index]!;
  const size = kvHeads * headDim;
  const part = r.view(x, [rows, kvHeads, headDim], firstRow * size);
  r.begin(OP.appendKv, {
    units: size === 0 ? 0 : 1,
    unitCost: rows * size * COPY_COST,
  }).tensor(part).sizes(
    r.bases.kv + store.offset + ring * ringBytes(store),
    rows,
    kvHeads,
    headDim,
  ).position(segments, index).sizes(
    ringRows(store),
    ring === 0 ? KEYS : VALUES,
    ...keptAs(r, store),
  );
}

/** How a store keeps its elements, and for halves the address of what tells that one is none. */
function keptAs(r: Recorder, store: WasmKvStore): readonly number[] {
  const poison = r.bases.kv + store.offset + 2 * ringBytes(store);
  return [KEPT_AS[store.dtype], store.dtype === "f16" ? poison : 0];
}

function attend(
  r: Recorder,
  store: WasmKvStore,
  segments: readonly Segment[],
  index: number,
  q: WasmTensor,
  out: WasmTensor,
  { heads, window, scale }: AttentionOptions,
): void {
  const { kvHeads, headDim } = store;
  const { firstRow, rows } = segments[index]!;
  const size = heads * headDim;
  const workAt = ({ firstPosition }: Segment): Work => {
    const seen = Math.min(firstPosition + rows, window ?? Infinity);
    return workOf(
      size === 0 ? 0 : Math.ceil(rows / ROW_BLOCK) * kvHeads,
      Math.min(rows, ROW_BLOCK) * size / kvHeads * seen * ATTENTION_COST,
    );
  };
  const keys = r.bases.kv + store.offset;
  const shape = [rows, heads, headDim];
  r.begin(OP.attention, workAt(segments[index]!))
    .tensor(r.view(q, shape, firstRow * size))
    .sizes(keys, keys + ringBytes(store))
    .tensor(r.view(out, shape, firstRow * size))
    .scratch((rows === 1 ? HEAD_GROUP : ROOM_HEADS) * headDim * F32_BYTES)
    .sizes(heads, headDim, kvHeads, ringRows(store))
    .position(segments, index, workAt).sizes(window ?? 0)
    .number(scale).sizes(rows, ...keptAs(r, store));
}

function streamOps(
  r: Recorder,
): Pick<Ops, "altupPredict" | "altupCorrect" | "addToStreams" | "meanStreams"> {
  return {
    altupPredict(x, coefs) {
      const out = r.output(shapes.altupPredict(x, coefs));
      r.begin(OP.altupPredict, rowWork(out, out.shape[0]! * COPY_COST))
        .tensor(r.own(x)).tensor(r.own(coefs)).tensor(out).sizes(...out.shape);
      return out;
    },
    altupCorrect(predicted, activated, coefs, active) {
      const shape = shapes.altupCorrect(predicted, activated, coefs, active);
      const out = r.output(shape);
      r.begin(OP.altupCorrect, rowWork(out, 2 * COPY_COST))
        .tensor(r.own(predicted)).tensor(r.own(activated)).tensor(r.own(coefs))
        .tensor(out).sizes(...shape, active);
      return out;
    },
    addToStreams(x, y) {
      const out = r.output(shapes.addToStreams(x, y));
      r.begin(OP.addToStreams, elementWork(out, COPY_COST))
        .tensor(r.own(x)).tensor(r.own(y)).tensor(out)
        .sizes(numel(x.shape), numel(y.shape));
      return out;
    },
    meanStreams(x) {
      const out = r.output(shapes.meanStreams(x));
      const streams = x.shape[0]!;
      r.begin(OP.meanStreams, elementWork(out, streams * COPY_COST))
        .tensor(r.own(x)).tensor(out).sizes(numel(x.shape), streams);
      return out;
    },
  };
}
