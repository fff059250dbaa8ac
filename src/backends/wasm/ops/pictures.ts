// Operations over pictures, `[Y, X, C]`.
import { numel } from "../../../core/shape.ts";
import type { Conv2dOptions, Ops } from "../../../ops/ops.ts";
import { shapes } from "../../../ops/shapes.ts";
import { OP } from "../op_codes.ts";
import type { Recorder } from "../recorder.ts";
import {
  F32_BYTES,
  GROUP,
  TILE,
  type WasmTensor,
  type WasmWeight,
} from "../tensors.ts";
import { multiply } from "./data.ts";
import { AS_FLOATS, ATTENTION_COST, HEAD_GROUP, KEYS } from "./decoder.ts";
import { attendQuantized, convolveQuantized } from "./quantized_pictures.ts";
import { COPY_COST, MULTIPLY_ADD_COST, rowWork, workOf } from "./rows.ts";
import { placesOfChunk, windows } from "./windows.ts";

/** Operations of this group. */
type PictureOps = Pick<
  Ops,
  | "conv2d"
  | "depthwiseConv2d"
  | "avgPool2d"
  | "resizeNearest"
  | "resizeBilinear"
  | "multiQueryAttention"
>;

/** Operations over pictures. */
export function pictureOps(r: Recorder): PictureOps {
  return {
    conv2d(x, w, options) {
      const shape = shapes.conv2d(x, w, options);
      const weight = r.ownWeight("conv2d", w, "conv2d");
      if (isPointwise(weight, options)) {
        return multiply(r, r.own(x), weight, shape);
      }
      return weight.format === "f32"
        ? convolve(r, r.own(x), weight, options, shape)
        : convolveQuantized(r, r.own(x), weight, weight.format, options, shape);
    },
    depthwiseConv2d(x, w, options) {
      const weight = r.ownWeight("depthwiseConv2d", w, "depthwiseConv2d");
      const shape = shapes.depthwiseConv2d(x, w, options);
      return convolveDepthwise(r, r.own(x), weight, options, shape);
    },
    avgPool2d(x, size) {
      const out = r.output(shapes.avgPool2d(x, size));
      r.begin(OP.avgPool2d, rowWork(out, size[0] * size[1] * COPY_COST))
        .tensor(r.own(x)).tensor(out).sizes(...x.shape, ...size);
      return out;
    },
    resizeNearest(x, size) {
      const out = r.output(shapes.resizeNearest(x, size));
      return resize(r, OP.resizeNearest, r.own(x), out);
    },
    resizeBilinear(x, size) {
      const out = r.output(shapes.resizeBilinear(x, size));
      return resize(r, OP.resizeBilinear, r.own(x), out);
    },
    multiQueryAttention(q, k, v, options) {
      const shape = shapes.multiQueryAttention(q, k, v, options);
      const [rows, heads, width] = shape as readonly [number, number, number];
      const keys = k.shape[0]!;
      const inputs = [r.own(q), r.own(k), r.own(v)] as const;
      // Where they carry the rounding of quantised products already, that of
      // two more is as small.
      const rounded = inputs.every(({ buffer }) => buffer.rounded);
      if (rounded && keys * width > 0 && width % GROUP === 0) {
        return attendQuantized(r, inputs, shape, keys, options.scale);
      }
      const places = Math.ceil(keys / TILE) * TILE;
      const tiles = r.room(places * width * F32_BYTES);
      r.begin(OP.appendKv, {
        units: width === 0 ? 0 : 1,
        unitCost: keys * width,
      })
        .tensor(inputs[1]).buffer(tiles)
        .sizes(keys, 1, width, 0, places, KEYS, ...AS_FLOATS);
      const out = r.output(shape);
      const cost = heads * width * keys * ATTENTION_COST;
      r.begin(OP.multiQueryAttention, workOf(cost === 0 ? 0 : rows, cost))
        .tensor(inputs[0]).buffer(tiles).tensor(inputs[2]).tensor(out)
        .scratch(HEAD_GROUP * width * F32_BYTES)
        .sizes(heads, width, keys).number(options.scale);
      return out;
    },
  };
}

/** Records a convolution with one filter `[taps][C]` for each channel. */
export function convolveDepthwise(
  r: Recorder,
  x: WasmTensor,
  weight: WasmWeight,
  options: Conv2dOptions,
  shape: readonly number[],
): WasmTensor {
  const out = r.output(shape);
  r.begin(OP.depthwiseConv2d, rowWork(out, weight.taps * COPY_COST))
    .tensor(x).weight(weight).tensor(out).sizes(0);
  windows(r, x, weight, options, shape);
  return out;
}

function isPointwise(
  { taps }: WasmWeight,
  { stride, padding }: Conv2dOptions,
): boolean {
  const { top, bottom, left, right } = padding;
  const padded = top + bottom + left + right > 0;
  return taps === 1 && stride[0] === 1 && stride[1] === 1 && !padded;
}

function convolve(
  r: Recorder,
  x: WasmTensor,
  weight: WasmWeight,
  options: Conv2dOptions,
  shape: readonly number[],
): WasmTensor {
  const out = r.output(shape);
  const outputs = shape[2]!;
  const places = outputs === 0 ? 0 : numel(shape) / outputs;
  const k = weight.rowSize;
  const unitCost = k * (COPY_COST + outputs * MULTIPLY_ADD_COST);
  const unitsPerChunk = placesOfChunk(unitCost);
  r.begin(OP.conv2d, { units: places, unitCost, unitsPerChunk })
    .tensor(x).weight(weight).tensor(out)
    .scratch(unitsPerChunk * k * F32_BYTES);
  windows(r, x, weight, options, shape);
  r.sizes(outputs);
  return out;
}

function resize(
  r: Recorder,
  op: number,
  x: WasmTensor,
  out: WasmTensor,
): WasmTensor {
  const [rows, columns, channels] = x.shape as readonly [
    number,
    number,
    number,
  ];
  r.begin(op, rowWork(out, 4 * COPY_COST)).tensor(x).tensor(out)
    .sizes(rows, columns, out.shape[0]!, out.shape[1]!, channels);
  return out;
}
