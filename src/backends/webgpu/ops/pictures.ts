// Operations over pictures, `[Y, X, C]`.
import { InputError } from "../../../core/errors.ts";
import { numel, type Shape } from "../../../core/shape.ts";
import type { Conv2dOptions, Ops } from "../../../ops/ops.ts";
import { shapes } from "../../../ops/shapes.ts";
import type { SubgroupFeatures } from "../features.ts";
import { avgPool2dWgsl } from "../kernels/avg_pool2d.ts";
import {
  CONV2D_OUTPUTS,
  CONV2D_PLACES,
  conv2dWgsl,
} from "../kernels/conv2d.ts";
import { depthwiseConv2dWgsl } from "../kernels/depthwise_conv2d.ts";
import { type Forms, forms, lanesOf } from "../kernels/elements.ts";
import { resizeBilinearWgsl } from "../kernels/resize_bilinear.ts";
import { resizeNearestWgsl } from "../kernels/resize_nearest.ts";
import { grid, type Recorder } from "../recorder.ts";
import type { WebGpuTensor } from "../tensors.ts";
import type { WebGpuWeight } from "../weights.ts";
import { attendToAll } from "./attention.ts";
import { product } from "./linear.ts";

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

/** Threads of a workgroup where each computes one element. */
const THREADS = 64;

const CONV2D = forms(conv2dWgsl);
const DEPTHWISE_CONV2D = forms(depthwiseConv2dWgsl);
const AVG_POOL2D = forms(avgPool2dWgsl);
const RESIZE_NEAREST = forms(resizeNearestWgsl);
const RESIZE_BILINEAR = forms(resizeBilinearWgsl);

/** Operations over pictures. */
export function pictureOps(
  r: Recorder,
  subgroups: SubgroupFeatures,
): PictureOps {
  return {
    conv2d(x, w, options) {
      const shape = shapes.conv2d(x, w, options);
      const weight = r.ownWeight("conv2d", w, "conv2d");
      if (isPointwise(weight, options)) {
        const operands = { x: r.own(x), weight, gates: [], shape };
        return product(r, subgroups, operands);
      }
      if (weight.format !== "f32") {
        throw new InputError(
          `Cannot record "conv2d": weight "${weight.name}" is kept as ` +
            `"${weight.format}", which needs stride 1 and no padding`,
        );
      }
      return convolve(r, r.own(x), weight, options, shape);
    },
    depthwiseConv2d(x, w, options) {
      const weight = r.ownWeight("depthwiseConv2d", w, "depthwiseConv2d");
      const shape = shapes.depthwiseConv2d(x, w, options);
      return convolveDepthwise(r, r.own(x), weight, options, shape);
    },
    avgPool2d(x, size) {
      const out = r.output(shapes.avgPool2d(x, size));
      const params = [x.shape[1]!, out.shape[1]!, ...size];
      return eachElement(r, AVG_POOL2D, r.own(x), out, params);
    },
    resizeNearest(x, size) {
      const out = r.output(shapes.resizeNearest(x, size));
      const params = [x.shape[0]!, x.shape[1]!, ...size];
      return eachElement(r, RESIZE_NEAREST, r.own(x), out, params);
    },
    resizeBilinear(x, size) {
      const out = r.output(shapes.resizeBilinear(x, size));
      const params = [x.shape[0]!, x.shape[1]!, ...size];
      return eachElement(r, RESIZE_BILINEAR, r.own(x), out, params);
    },
    multiQueryAttention(q, k, v, options) {
      const shape = shapes.multiQueryAttention(q, k, v, options);
      const out = r.output(shape);
      if (numel(shape) > 0) {
        const [own, keys, values] = [q, k, v].map((x) => r.own(x));
        attendToAll(r, own!, keys!, values!, options.scale, out);
      }
      return out;
    },
  };
}

/** Records a convolution with one filter for each channel, `[taps, C]`. */
export function convolveDepthwise(
  r: Recorder,
  x: WebGpuTensor,
  weight: WebGpuWeight,
  { stride, padding }: Conv2dOptions,
  shape: Shape,
): WebGpuTensor {
  const out = r.output(shape);
  const [rows, columns, channels] = x.shape as [number, number, number];
  const [, , kernelRows, kernelColumns = 1] = weight.shape;
  const lanes = lanesOf(channels);
  const elements = numel(shape) / lanes;
  r.dispatch({
    code: DEPTHWISE_CONV2D[lanes],
    constants: {
      CHANNELS: channels / lanes,
      KERNEL_ROWS: kernelRows!,
      KERNEL_COLUMNS: kernelColumns,
      STRIDE_Y: stride[0],
      STRIDE_X: stride[1],
    },
    reads: [x, wholeValues("depthwiseConv2d", weight)],
    writes: [out],
    params: [rows, columns, shape[1]!, elements, padding.top, padding.left],
    workgroups: grid(Math.ceil(elements / THREADS)),
  });
  return out;
}

function convolve(
  r: Recorder,
  x: WebGpuTensor,
  weight: WebGpuWeight,
  { stride, padding }: Conv2dOptions,
  shape: Shape,
): WebGpuTensor {
  const out = r.output(shape);
  const [rows, columns, channels] = x.shape as [number, number, number];
  const [outRows, outColumns, outputs] = shape as [number, number, number];
  const lanes = lanesOf(channels);
  const places = outRows * outColumns;
  const tiles = Math.ceil(places / CONV2D_PLACES) *
    Math.ceil(outputs / CONV2D_OUTPUTS);
  r.dispatch({
    code: CONV2D[lanes],
    reads: [x, wholeValues("conv2d", weight)],
    writes: [out],
    params: [
      rows,
      columns,
      outColumns,
      places,
      padding.top,
      padding.left,
      channels / lanes,
      outputs,
      weight.shape[3]!,
      weight.taps,
      ...stride,
    ],
    cost: places * outputs * weight.rowSize,
    workgroups: grid(tiles),
  });
  return out;
}

/** Records a kernel whose threads compute elements of `out`; `params` without their number. */
function eachElement(
  r: Recorder,
  code: Forms,
  x: WebGpuTensor,
  out: WebGpuTensor,
  params: readonly number[],
): WebGpuTensor {
  const channels = out.shape[2]!;
  const lanes = lanesOf(channels);
  const elements = numel(out.shape) / lanes;
  r.dispatch({
    code: code[lanes],
    constants: { CHANNELS: channels / lanes },
    reads: [x],
    writes: [out],
    params: [...params, elements],
    workgroups: grid(Math.ceil(elements / THREADS)),
  });
  return out;
}

/** The values of a filter, which lie in one buffer: kernels bind no other. */
function wholeValues(op: string, { name, parts }: WebGpuWeight) {
  if (parts.length === 1) return parts[0]!.values;
  throw new InputError(
    `Cannot record "${op}": weight "${name}" takes ${parts.length} buffers, ` +
      'wanted 1; use the device "wasm"',
  );
}

function isPointwise(
  { taps }: WebGpuWeight,
  { stride, padding }: Conv2dOptions,
): boolean {
  const { top, bottom, left, right } = padding;
  const padded = top + bottom + left + right > 0;
  return taps === 1 && stride[0] === 1 && stride[1] === 1 && !padded;
}
