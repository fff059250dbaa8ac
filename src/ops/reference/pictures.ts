// Operations over pictures, `[Y, X, C]`.
import type { Ops } from "../ops.ts";
import { shapes } from "../shapes.ts";
import type { Recorder } from "./recorder.ts";
import { softmax } from "./softmax.ts";

/** Convolutions, pooling, resizing, attention between places of a picture. */
export function pictureOps(r: Recorder): Pick<
  Ops,
  | "conv2d"
  | "depthwiseConv2d"
  | "avgPool2d"
  | "resizeNearest"
  | "resizeBilinear"
  | "multiQueryAttention"
> {
  return {
    conv2d: (x, w, options) => conv2d(r, x, w, options),
    depthwiseConv2d: (x, w, options) => depthwiseConv2d(r, x, w, options),
    avgPool2d: (x, size) => avgPool2d(r, x, size),
    resizeNearest(x, size) {
      const shape = shapes.resizeNearest(x, size);
      const [height, width, channels] = shape as [number, number, number];
      const [ySize, xSize] = x.shape as [number, number];
      const work = { items: height * width, perItem: channels };
      return r.record(shape, [x], work, (out, x) => (first, end) => {
        for (let place = first; place < end; place++) {
          const y = Math.floor(Math.floor(place / width) * ySize / height);
          const column = Math.floor((place % width) * xSize / width);
          const from = (y * xSize + column) * channels;
          out.set(x.subarray(from, from + channels), place * channels);
        }
      });
    },
    resizeBilinear: (x, size) => resizeBilinear(r, x, size),
    multiQueryAttention: (q, k, v, options) =>
      multiQueryAttention(r, q, k, v, options),
  };
}

function conv2d(
  r: Recorder,
  ...[x, w, options]: Parameters<Ops["conv2d"]>
): ReturnType<Ops["conv2d"]> {
  const shape = shapes.conv2d(x, w, options);
  const [height, width, outputs] = shape as [number, number, number];
  const [ySize, xSize, channels] = x.shape as [number, number, number];
  const [, , ky, kx] = w.shape as [number, number, number, number];
  const { stride: [yStep, xStep], padding: { top, left } } = options;
  const weight = r.weight("conv2d", w, "conv2d");
  const perItem = outputs * channels * ky * kx;
  const work = { items: height * width, perItem };
  return r.record(shape, [x], work, (out, x) => (first, end) => {
    const { data } = weight;
    for (let place = first; place < end; place++) {
      const y0 = Math.floor(place / width) * yStep - top;
      const x0 = (place % width) * xStep - left;
      for (let o = 0; o < outputs; o++) {
        let sum = 0;
        for (let i = 0; i < ky; i++) {
          if (y0 + i < 0 || y0 + i >= ySize) continue;
          for (let j = 0; j < kx; j++) {
            if (x0 + j < 0 || x0 + j >= xSize) continue;
            const source = ((y0 + i) * xSize + x0 + j) * channels;
            let tap = (o * channels * ky + i) * kx + j;
            for (let c = 0; c < channels; c++, tap += ky * kx) {
              sum += x[source + c]! * data[tap]!;
            }
          }
        }
        out[place * outputs + o] = sum;
      }
    }
  });
}

function depthwiseConv2d(
  r: Recorder,
  ...[x, w, options]: Parameters<Ops["depthwiseConv2d"]>
): ReturnType<Ops["depthwiseConv2d"]> {
  const shape = shapes.depthwiseConv2d(x, w, options);
  const [height, width, channels] = shape as [number, number, number];
  const [ySize, xSize] = x.shape as [number, number];
  const [, , ky, kx] = w.shape as [number, number, number, number];
  const { stride: [yStep, xStep], padding: { top, left } } = options;
  const weight = r.weight("depthwiseConv2d", w, "depthwiseConv2d");
  const work = { items: height * width, perItem: channels * ky * kx };
  return r.record(shape, [x], work, (out, x) => (first, end) => {
    const { data } = weight;
    for (let place = first; place < end; place++) {
      const y0 = Math.floor(place / width) * yStep - top;
      const x0 = (place % width) * xStep - left;
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let i = 0; i < ky; i++) {
          if (y0 + i < 0 || y0 + i >= ySize) continue;
          for (let j = 0; j < kx; j++) {
            if (x0 + j < 0 || x0 + j >= xSize) continue;
            const source = ((y0 + i) * xSize + x0 + j) * channels + c;
            sum += x[source]! * data[(c * ky + i) * kx + j]!;
          }
        }
        out[place * channels + c] = sum;
      }
    }
  });
}

function avgPool2d(
  r: Recorder,
  ...[x, size]: Parameters<Ops["avgPool2d"]>
): ReturnType<Ops["avgPool2d"]> {
  const shape = shapes.avgPool2d(x, size);
  const [height, width, channels] = shape as [number, number, number];
  const xSize = x.shape[1]!;
  const [ky, kx] = size;
  const work = { items: height * width, perItem: channels * ky * kx };
  return r.record(shape, [x], work, (out, x) => (first, end) => {
    for (let place = first; place < end; place++) {
      const y0 = Math.floor(place / width) * ky;
      const x0 = (place % width) * kx;
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let i = 0; i < ky; i++) {
          for (let j = 0; j < kx; j++) {
            sum += x[((y0 + i) * xSize + x0 + j) * channels + c]!;
          }
        }
        out[place * channels + c] = sum / (ky * kx);
      }
    }
  });
}

function resizeBilinear(
  r: Recorder,
  ...[x, size]: Parameters<Ops["resizeBilinear"]>
): ReturnType<Ops["resizeBilinear"]> {
  const shape = shapes.resizeBilinear(x, size);
  const [height, width, channels] = shape as [number, number, number];
  const [ySize, xSize] = x.shape as [number, number];
  const work = { items: height * width, perItem: 4 * channels };
  return r.record(shape, [x], work, (out, x) => (first, end) => {
    for (let place = first; place < end; place++) {
      const ys = neighbours(Math.floor(place / width), ySize, height);
      const xs = neighbours(place % width, xSize, width);
      for (let c = 0; c < channels; c++) {
        const at = (y: number, column: number): number =>
          x[(y * xSize + column) * channels + c]!;
        const upper = at(ys.low, xs.low) * (1 - xs.weight) +
          at(ys.low, xs.high) * xs.weight;
        const lower = at(ys.high, xs.low) * (1 - xs.weight) +
          at(ys.high, xs.high) * xs.weight;
        out[place * channels + c] = upper * (1 - ys.weight) + lower * ys.weight;
      }
    }
  });
}

/** The two source places that output place `i` lies between, and the weight of the higher. */
function neighbours(
  i: number,
  sourceSize: number,
  size: number,
): { low: number; high: number; weight: number } {
  const centre = Math.max(0, (i + 0.5) * sourceSize / size - 0.5);
  const low = Math.floor(centre);
  const high = Math.min(low + 1, sourceSize - 1);
  return { low, high, weight: centre - low };
}

function multiQueryAttention(
  r: Recorder,
  ...[q, k, v, options]: Parameters<Ops["multiQueryAttention"]>
): ReturnType<Ops["multiQueryAttention"]> {
  const shape = shapes.multiQueryAttention(q, k, v, options);
  const [rows, heads, width] = shape as [number, number, number];
  const keys = k.shape[0]!;
  const { scale } = options;
  const work = { items: rows * heads, perItem: 2 * keys * width };
  return r.record(shape, [q, k, v], work, (out, q, k, v) => (first, end) => {
    const scores = new Float64Array(keys);
    for (let item = first; item < end; item++) { // item = t * N + n
      const query = item * width;
      for (let s = 0; s < keys; s++) {
        let dot = 0;
        for (let h = 0; h < width; h++) {
          dot += q[query + h]! * k[s * width + h]!;
        }
        scores[s] = dot * scale;
      }
      softmax(scores, keys);
      for (let h = 0; h < width; h++) {
        let sum = 0;
        for (let s = 0; s < keys; s++) sum += scores[s]! * v[s * width + h]!;
        out[query + h] = sum;
      }
    }
  });
}
