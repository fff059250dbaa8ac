// What a run of the decoder gives, back in the shape of the padded batch.
import { type HostTensor, hostTensor } from "../../core/tensor.ts";
import type { Gemma3nTextConfig } from "./config.ts";
import type { DecoderOutput } from "./decoder_output.ts";
import type { UnpaddedSequence } from "./model_inputs.ts";

/** A batch of B sequences in T columns. */
export interface PaddedBatch {
  readonly sequences: readonly UnpaddedSequence[];
  readonly outputs: readonly DecoderOutput[];
  readonly columns: number;
}

/**
 * The kept rows, logits or last hidden states of `width` values, from
 * `firstColumn` on: `[B, T - firstColumn, width]`; zeros where the input is
 * padding.
 */
export function padKept(
  { sequences, outputs, columns: T }: PaddedBatch,
  firstColumn: number,
  width: number,
): HostTensor<"float32"> {
  const columns = T - firstColumn;
  const out = new Float32Array(sequences.length * columns * width);
  sequences.forEach((sequence, b) => {
    const kept = sequence.columns.filter((column) => column >= firstColumn);
    kept.forEach((column, i) => {
      const values = outputs[b]!.kept.subarray(i * width, (i + 1) * width);
      out.set(values, (b * columns + column - firstColumn) * width);
    });
  });
  return hostTensor("float32", [sequences.length, columns, width], out);
}

/** Hidden states `[A, B, T, D]` before each layer and after the last; zeros where the input is padding. */
export function padHiddenStates(
  { sequences, outputs, columns: T }: PaddedBatch,
  { altupNumInputs: A, hiddenSize: D, numHiddenLayers }: Gemma3nTextConfig,
): HostTensor<"float32">[] {
  const B = sequences.length;
  return Array.from({ length: numHiddenLayers + 1 }, (_, layer) => {
    const out = new Float32Array(A * B * T * D);
    sequences.forEach(({ columns }, b) => {
      const states = outputs[b]!.hiddenStates[layer]!; // [A, rows, D]
      for (let a = 0; a < A; a++) {
        columns.forEach((column, t) => {
          const from = (a * columns.length + t) * D;
          const row = states.subarray(from, from + D);
          out.set(row, ((a * B + b) * T + column) * D);
        });
      }
    });
    return hostTensor("float32", [A, B, T, D], out);
  });
}
