// Sequences of different lengths as one tensor.
import { InputError } from "../core/errors.ts";
import { type HostTensor, hostTensor } from "../core/tensor.ts";

/** How sequences of a batch get one length. */
export interface PaddingOptions {
  /**
   * `true` or `"longest"`: to the longest of the batch; `"maxLength"`: to
   * `maxLength`; `false`: they must have one length. Default: true.
   */
  readonly padding?: boolean | "longest" | "maxLength" | undefined;
  /** Length in tokens. Without `"maxLength"` padding only an upper limit. */
  readonly maxLength?: number | undefined;
}

/** A batch of token ids. */
export interface PaddedBatch {
  /** int32 `[B, T]`. */
  readonly inputIds: HostTensor<"int32">;
  /** int32 `[B, T]`, 1 = a token, 0 = padding. */
  readonly attentionMask: HostTensor<"int32">;
}

/**
 * Pads sequences to one length.
 *
 * @throws {InputError} When one is longer than `maxLength` (nothing is ever
 * cut), or their lengths differ and padding is off.
 */
export function padSequences(
  sequences: readonly Int32Array[],
  padTokenId: number,
  side: "left" | "right",
  options: PaddingOptions = {},
): PaddedBatch {
  const { padding = true, maxLength } = options;
  const longest = Math.max(...sequences.map((ids) => ids.length));
  if (maxLength !== undefined && longest > maxLength) {
    throw new InputError(
      `Cannot fit the text into "maxLength" ${maxLength}: it has ${longest} tokens; shorten it or raise "maxLength"`,
    );
  }
  if (padding === "maxLength" && maxLength === undefined) {
    throw new InputError('Cannot pad to "maxLength": set "maxLength" as well');
  }
  if (padding === false && sequences.some((ids) => ids.length !== longest)) {
    throw new InputError(
      `Cannot batch texts of ${
        sequences.map((ids) => ids.length).join(", ")
      } tokens without padding: set "padding" to true`,
    );
  }
  const width = padding === "maxLength" ? maxLength! : longest;
  const shape = [sequences.length, width];
  const ids = new Int32Array(sequences.length * width).fill(padTokenId);
  const mask = new Int32Array(ids.length);
  sequences.forEach((sequence, row) => {
    const start = row * width + (side === "left" ? width - sequence.length : 0);
    ids.set(sequence, start);
    mask.fill(1, start, start + sequence.length);
  });
  return {
    inputIds: hostTensor("int32", shape, ids),
    attentionMask: hostTensor("int32", shape, mask),
  };
}
