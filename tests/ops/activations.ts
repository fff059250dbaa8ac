// What a device multiplies quantised weights by.
import type { TestDevice, TestTensor } from "../testing.ts";

const GROUP = 32;

/** What `target` multiplies by: bytes, or where rows are few on a GPU the activations themselves. */
export function activations(x: TestTensor, target: TestDevice): TestTensor {
  const rows = x.data.length / x.shape.at(-1)!;
  return rows >= (target.roundsFrom ?? Infinity) ? asBytes(x) : x;
}

/** The nearest of 255 steps in each group. */
export function asBytes({ shape, data }: TestTensor): TestTensor {
  const out = new Float32Array(data.length);
  for (let first = 0; first < data.length; first += GROUP) {
    const group = data.subarray(first, first + GROUP);
    const largest = group.reduce((m, x) => Math.max(m, Math.abs(x)), 0);
    const inverse = largest === 0 ? 0 : Math.fround(127 / largest);
    const scale = Math.fround(largest / 127);
    group.forEach((x, i) =>
      out[first + i] = roundToEven(Math.fround(x * inverse)) * scale
    );
  }
  return { shape, data: out };
}

function roundToEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}
