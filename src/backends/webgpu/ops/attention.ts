// Key-value stores, the decoder's attention, and that of pictures.
import type { FloatCacheDtype } from "../../../core/dtype.ts";
import { InputError } from "../../../core/errors.ts";
import type { AttentionOptions, Ops, Segment } from "../../../ops/ops.ts";
import { shapes } from "../../../ops/shapes.ts";
import { appendKvWgsl } from "../kernels/append_kv.ts";
import {
  ATTENTION_KEYS,
  type AttentionKernel,
  attentionWgsl,
} from "../kernels/attention.ts";
import { attentionMergeWgsl } from "../kernels/attention_merge.ts";
import {
  ATTENTION_TILE,
  attentionTilesWgsl,
  fitsAttentionTiles,
} from "../kernels/attention_tiles.ts";
import { kvWidth } from "../kernels/kv_store.ts";
import { grid, type Recorder } from "../recorder.ts";
import {
  type Binding,
  F32_BYTES,
  type WebGpuKvStore,
  type WebGpuTensor,
} from "../tensors.ts";

/** Workgroups that keep a large GPU busy. */
const WANTED_GROUPS = 256;
/** Fewest keys worth a workgroup of their own. */
const SPLIT_KEYS = 2 * ATTENTION_KEYS;
/** Largest number of rows in y of a dispatch. */
const MAX_ROWS = 65535;

/** Largest number of queries of a dispatch in tiles. */
const MAX_QUERIES = MAX_ROWS * ATTENTION_TILE;

/** Key-value stores and attention. */
export function attentionOps(
  r: Recorder,
): Pick<Ops, "appendKv" | "attention"> {
  return {
    appendKv(stores, segments, k, v) {
      shapes.appendKv(stores, segments, k, v);
      const [keys, values] = [r.own(k), r.own(v)];
      segments.forEach((segment, i) => {
        const store = r.ownStore("appendKv", stores[i]!);
        append(r, store, segment, keys, values);
      });
    },
    attention(q, stores, segments, options) {
      const shape = shapes.attention(q, stores, segments, options);
      const own = r.own(q);
      const out = r.output(shape);
      segments.forEach((segment, i) => {
        const store = r.ownStore("attention", stores[i]!);
        for (let row = 0; row < segment.rows; row += MAX_ROWS) {
          attend(r, store, own, out, options, {
            firstRow: segment.firstRow + row,
            rows: Math.min(MAX_ROWS, segment.rows - row),
            firstPosition: segment.firstPosition + row,
          });
        }
      });
      return out;
    },
  };
}

function append(
  r: Recorder,
  store: WebGpuKvStore,
  { firstRow, rows, firstPosition }: Segment,
  k: WebGpuTensor,
  v: WebGpuTensor,
): void {
  const { kvHeads, headDim, capacity, dtype } = store;
  const vectors = kvHeads * kvWidth(headDim) / 4;
  r.dispatch({
    code: appendKvCode(dtype, headDim % 4 === 0 ? 4 : 1),
    constants: { KV_HEADS: kvHeads, WIDTH: headDim },
    reads: [k, v],
    writes: [store.keys, store.values],
    params: [firstRow, rows, firstPosition, capacity],
    workgroups: grid(Math.ceil(rows * vectors / 64)),
  });
}

function attend(
  r: Recorder,
  store: WebGpuKvStore,
  q: WebGpuTensor,
  out: WebGpuTensor,
  { heads, window, scale }: AttentionOptions,
  { firstRow, rows, firstPosition }: Segment,
): void {
  const { kvHeads, headDim, capacity, dtype } = store;
  const seen = Math.min(firstPosition + rows, window ?? Infinity);
  const shared = heads / kvHeads;
  const queries = rows * shared;
  const tiled = queries >= ATTENTION_TILE && fitsAttentionTiles(headDim);
  const groups = tiled ? Math.ceil(queries / ATTENTION_TILE) : rows;
  const splits = splitsFor(groups * kvHeads, seen);
  const kernel = { width: headDim, shared, dtype, split: splits > 1 };
  const common = {
    code: tiled ? attentionTilesCode(kernel) : attentionCode(kernel),
    constants: {
      KV_HEADS: kvHeads,
      WINDOW: window ?? 0,
      SCALE: scale,
    },
    reads: [q, store.keys, store.values],
    params: tiled
      ? [firstRow, firstPosition, rows, capacity, firstPosition + rows]
      : [firstRow, firstPosition, capacity],
    workgroups: [headDim === 0 ? 0 : kvHeads, groups, splits],
    cost: 2 * rows * heads * seen * headDim,
  } as const;
  if (splits === 1) {
    r.dispatch({ ...common, writes: [out] });
    return;
  }
  const count = rows * heads;
  const partials = r.room(count * splits * headDim * F32_BYTES);
  const statistics = r.room(count * splits * 2 * F32_BYTES);
  r.dispatch({ ...common, writes: [partials, statistics] });
  r.dispatch({
    code: attentionMergeWgsl,
    constants: { WIDTH: headDim },
    reads: [partials, statistics],
    writes: [out],
    params: [firstRow * heads, count, splits],
    workgroups: grid(count),
  });
}

/**
 * Parts of the keys of a row, a power of two, so that steps of a growing
 * context record the same sizes for long.
 */
function splitsFor(groups: number, seen: number): number {
  let splits = 1;
  while (
    2 * splits * groups <= WANTED_GROUPS && 2 * splits * SPLIT_KEYS <= seen
  ) splits *= 2;
  return splits;
}

/**
 * Records attention to all keys. Heads share them, so that each is a row of its
 * own for the decoder's attention: one that comes after every key.
 */
export function attendToAll(
  r: Recorder,
  q: WebGpuTensor,
  k: WebGpuTensor,
  v: WebGpuTensor,
  scale: number,
  out: WebGpuTensor,
): void {
  const [places, heads, width] = out.shape as readonly [number, number, number];
  const keys = k.shape[0]!;
  if (!fitsAttentionTiles(width)) {
    throw new InputError(
      `Cannot record "multiQueryAttention": heads of ${width} are too wide ` +
        'for workgroup memory; use the device "wasm"',
    );
  }
  const stored = wholeVectors(r, k, v);
  const rows = places * heads;
  for (let row = 0; row < rows; row += MAX_QUERIES) {
    const count = Math.min(MAX_QUERIES, rows - row);
    r.dispatch({
      code: attentionTilesCode({
        width,
        shared: 1,
        dtype: "f32",
        split: false,
      }),
      constants: { KV_HEADS: 1, WINDOW: 0, SCALE: scale },
      reads: [q, ...stored],
      writes: [out],
      params: [row, keys, count, keys, keys],
      workgroups: [1, Math.ceil(count / ATTENTION_TILE), 1],
      cost: 2 * count * keys * width,
    });
  }
}

/** Keys and values `[S, H]` as stores have them, with heads of whole vectors. */
function wholeVectors(
  r: Recorder,
  k: WebGpuTensor,
  v: WebGpuTensor,
): readonly Binding[] {
  const [rows, width] = k.shape as readonly [number, number];
  const stored = kvWidth(width);
  if (stored === width) return [k, v];
  const writes = [k, v].map(() => r.room(rows * stored * F32_BYTES));
  r.dispatch({
    code: appendKvCode("f32", 1),
    constants: { KV_HEADS: 1, WIDTH: width },
    reads: [k, v],
    writes,
    params: [0, rows, 0, rows],
    workgroups: grid(Math.ceil(rows * stored / 4 / 64)),
  });
  return writes;
}

const codes = new Map<string, string>();

/** The same string for the same kernel: it is the key of its pipelines. */
function codeOf(key: string, make: () => string): string {
  let code = codes.get(key);
  if (code === undefined) codes.set(key, code = make());
  return code;
}

function appendKvCode(dtype: FloatCacheDtype, lanes: 1 | 4): string {
  return codeOf(`append,${dtype},${lanes}`, () => appendKvWgsl(dtype, lanes));
}

function attentionCode(kernel: AttentionKernel): string {
  const key = Object.values(kernel).join();
  return codeOf(key, () => attentionWgsl(kernel));
}

function attentionTilesCode(kernel: AttentionKernel): string {
  const key = `tiles,${Object.values(kernel).join()}`;
  return codeOf(key, () => attentionTilesWgsl(kernel));
}
