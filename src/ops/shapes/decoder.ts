// Shapes of the text decoder's operations.
import { formatShape } from "../../core/shape.ts";
import type { KvStore, Segment } from "../ops.ts";
import type { OpShapes } from "../shapes.ts";
import { dims, lastDim, opError, requireCount, requireShape } from "./check.ts";

/** Rotary embedding, key-value stores, attention, AltUp. */
export const decoderShapes: Pick<
  OpShapes,
  | "rope"
  | "appendKv"
  | "attention"
  | "altupPredict"
  | "altupCorrect"
  | "addToStreams"
  | "meanStreams"
> = {
  rope(x, cos, sin) {
    const [rows, , width] = dims("rope", "x", x, "[T,N,H]");
    if (width! % 2 !== 0) {
      throw opError("rope", `x ${formatShape(x.shape)} has an odd head width`);
    }
    requireShape("rope", "cos", cos, [rows!, width! / 2]);
    requireShape("rope", "sin", sin, [rows!, width! / 2]);
    return x.shape;
  },
  appendKv(stores, segments, k, v) {
    const [rows, heads, width] = dims("appendKv", "k", k, "[T,K,H]");
    requireShape("appendKv", "v", v, k.shape);
    for (const [store, segment] of pairs("appendKv", stores, segments)) {
      if (segment.firstRow + segment.rows > rows!) {
        throw opError("appendKv", `${spell(segment)} ends after row ${rows}`);
      }
      if (segment.rows > store.capacity) {
        throw opError(
          "appendKv",
          `${spell(segment)} exceeds the capacity ${store.capacity}`,
        );
      }
      requireStore("appendKv", store, heads!, width!);
    }
  },
  attention(q, stores, segments, options) {
    const [rows, heads, width] = dims("attention", "q", q, "[T,N,H]");
    const { window } = options;
    requireHeads("attention", heads!, options.heads);
    if (window !== undefined) requireCount("attention", "window", window, 1);
    let next = 0;
    for (const [store, segment] of pairs("attention", stores, segments)) {
      if (segment.firstRow !== next) {
        throw opError(
          "attention",
          `${spell(segment)} must start at row ${next}`,
        );
      }
      next += segment.rows;
      requireStore("attention", store, store.kvHeads, width!);
      if (heads! % store.kvHeads !== 0) {
        throw opError(
          "attention",
          `${heads} query heads cannot share ${store.kvHeads} key-value heads`,
        );
      }
      const end = segment.firstPosition + segment.rows;
      const seen = Math.min(end, segment.rows - 1 + (window ?? end));
      if (segment.rows > 0 && seen > store.capacity) {
        throw opError(
          "attention",
          `${spell(segment)} sees ${seen} positions, ` +
            `the store keeps ${store.capacity}`,
        );
      }
    }
    if (next !== rows) {
      throw opError(
        "attention",
        `the segments have ${next} rows, q ${formatShape(q.shape)} has ${rows}`,
      );
    }
    return q.shape;
  },
  altupPredict(x, coefs) {
    const [streams, rows] = dims("altupPredict", "x", x, "[A,T,D]");
    requireShape("altupPredict", "coefs", coefs, [rows!, streams! * streams!]);
    return x.shape;
  },
  altupCorrect(predicted, activated, coefs, active) {
    const op = "altupCorrect";
    const [streams, rows, width] = dims(op, "predicted", predicted, "[A,T,D]");
    requireShape(op, "activated", activated, [rows!, width!]);
    requireShape(op, "coefs", coefs, [rows!, streams!]);
    requireCount(op, "active", active);
    if (active >= streams!) {
      throw opError(op, `"active" is ${active}, there are ${streams} streams`);
    }
    return predicted.shape;
  },
  addToStreams(x, y) {
    const [, rows, width] = dims("addToStreams", "x", x, "[A,T,D]");
    requireShape("addToStreams", "y", y, [rows!, width!]);
    return x.shape;
  },
  meanStreams(x) {
    lastDim("meanStreams", "x", x);
    return x.shape.slice(1);
  },
};

/**
 * Checks the number of heads an operation was told against its tensor.
 *
 * @throws {InputError} When they differ.
 */
export function requireHeads(op: string, found: number, wanted: number): void {
  if (found !== wanted) {
    throw opError(op, `q has ${found} heads, the options say ${wanted}`);
  }
}

function requireStore(
  op: string,
  store: KvStore,
  heads: number,
  width: number,
): void {
  if (store.kvHeads !== heads || store.headDim !== width) {
    throw opError(
      op,
      `the tensors have ${heads} heads of ${width}, ` +
        `the store has ${store.kvHeads} of ${store.headDim}`,
    );
  }
}

function pairs(
  op: string,
  stores: readonly KvStore[],
  segments: readonly Segment[],
): [KvStore, Segment][] {
  if (stores.length !== segments.length) {
    throw opError(
      op,
      `there are ${stores.length} stores for ${segments.length} segments`,
    );
  }
  return segments.map((segment, i) => {
    requireCount(op, "firstRow", segment.firstRow);
    requireCount(op, "rows", segment.rows);
    requireCount(op, "firstPosition", segment.firstPosition);
    return [stores[i]!, segment];
  });
}

function spell(segment: Segment): string {
  const { firstRow, rows, firstPosition } = segment;
  return `the segment of rows ${firstRow}..${firstRow + rows} ` +
    `from position ${firstPosition}`;
}
