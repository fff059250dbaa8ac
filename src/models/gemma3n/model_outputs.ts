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
 * Logits from `firstColumn` on, `[B, T - firstColumn, V]`; zeros where the
 * input is padding.
 */
export function padLogits(
  { sequences, outputs, columns: T }: PaddedBatch,
  firstColumn: number,
  { vocabSize: V }: Gemma3nTextConfig,
): HostTensor<"float32"> {
  const columns = T - firstColumn;
  const logits = new Float32Array(sequences.length * columns * V);
  sequences.forEach((sequence, b) => {
    const kept = sequence.columns.filter((column) => column >= firstColumn);
    kept.forEach((column, i) => {
      const values = outputs[b]!.logits.subarray(i * V, (i + 1) * V);
      logits.set(values, (b * columns + column - firstColumn) * V);
    });
  });
  return hostTensor("float32", [sequences.length, columns, V], logits);
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
