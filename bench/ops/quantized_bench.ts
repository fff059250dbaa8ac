// Products with quantised weights beside the same in float32: one row as in
// decode, more as in prefill; and looking rows up.
import type { WeightFormat } from "../../src/core/dtype.ts";
import { ELEMENT_BYTES, type OpCase, type OpSize } from "../op_case.ts";

/** Slowest first. */
const FORMATS: readonly WeightFormat[] = ["f32", "q8", "q4"];
const ROWS = [1, 4, 128];
const [K, OUTPUTS] = [2048, 2048];
/** Bytes of weights that no cache holds. */
const STREAMED_BYTES = 128 * 2 ** 20;

function product(format: WeightFormat, rows: number): OpCase {
  const size = (rows: number, k: number, outputs: number): OpSize => ({
    inputs: [[rows, k]],
    weight: { kind: "matrix", shape: [outputs, k], format },
    multiplyAdds: rows * k * outputs,
    record: ({ ops, inputs, weight }) => ops.matmul(inputs[0]!, weight),
  });
  const bytes = ELEMENT_BYTES[format] * K * OUTPUTS;
  const weights = Math.ceil(STREAMED_BYTES / bytes);
  return {
    name: productName(format, rows),
    check: size(Math.min(rows, 9), 320, 77),
    time: { ...size(rows, K, OUTPUTS), weights: rows === 1 ? weights : 1 },
  };
}

function productName(format: WeightFormat, rows: number): string {
  return `quantized product ${format}, ${rows}`;
}

/** Cases of quantised weights. */
export const quantizedCases: readonly OpCase[] = ROWS.flatMap((rows) =>
  FORMATS.map((format) => product(format, rows))
);

/** Prints how much faster each format is than float32. */
export function reportRatios(seconds: ReadonlyMap<string, number>): void {
  for (const rows of ROWS) {
    const [float, ...others] = FORMATS.map((format) =>
      seconds.get(productName(format, rows))
    );
    if (float === undefined) continue;
    const ratios = others.map((time, i) =>
      `${FORMATS[i + 1]} ${(float / time!).toFixed(2)} x`
    );
    console.log(`${rows} rows, times as fast as f32: ${ratios.join(", ")}`);
  }
}
