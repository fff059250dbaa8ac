// Batches as processors make them, into sequences as the decoder takes them:
// padding stripped, soft tokens in their places. Transformers' Gemma3nModel
// counts and scatters likewise, in the order of the batch.
import { InputError } from "../../core/errors.ts";
import { formatShape, sameShape } from "../../core/shape.ts";
import type { HostTensor } from "../../core/tensor.ts";
import type { Gemma3nConfig } from "./config.ts";
import type { SoftTokens } from "./token_embeddings.ts";

/** New tokens of one sequence, without padding. */
export interface UnpaddedSequence {
  readonly ids: Int32Array;
  /** Column of each token in the padded batch. */
  readonly columns: Int32Array;
  readonly soft: SoftTokens | undefined;
}

/** Soft tokens of all pictures and clips of a batch, `[N, S, D]` each. */
export interface SoftTokenSources {
  readonly image: HostTensor<"float32"> | undefined;
  readonly audio: HostTensor<"float32"> | undefined;
}

/**
 * Strips what `attentionMask` marks as padding. The mask may be longer than
 * the ids, as Transformers' is when a cache holds the tokens before them:
 * its last columns count then.
 *
 * @throws {InputError} When the shapes do not fit together, or a sequence is
 * empty.
 */
export function unpadSequences(
  inputIds: HostTensor<"int32">,
  attentionMask: HostTensor<"int32"> | undefined,
): Pick<UnpaddedSequence, "ids" | "columns">[] {
  const [B, T] = inputIds.shape;
  if (B === 0 || T === 0) {
    throw new InputError(
      `Cannot run the model: inputIds have shape ${
        formatShape(inputIds.shape)
      }, there must be at least one sequence and one token`,
    );
  }
  const maskLength = attentionMask?.shape[1] ?? T!;
  if (
    attentionMask &&
    (!sameShape(attentionMask.shape, [B!, maskLength]) || maskLength < T!)
  ) {
    throw new InputError(
      `Cannot run the model: inputIds have shape ${
        formatShape(inputIds.shape)
      }, attentionMask has ${formatShape(attentionMask.shape)}`,
    );
  }
  return Array.from({ length: B! }, (_, b) => {
    const columns: number[] = [];
    for (let t = 0; t < T!; t++) {
      const at = (b + 1) * maskLength - T! + t;
      if (!attentionMask || attentionMask.data[at] !== 0) columns.push(t);
    }
    if (columns.length === 0) {
      throw new InputError(
        `Cannot run the model: sequence ${b} has no tokens, all its ${T!} columns are padding`,
      );
    }
    return {
      ids: Int32Array.from(columns, (t) => inputIds.data[b * T! + t]!),
      columns: Int32Array.from(columns),
    };
  });
}

/**
 * Deals soft tokens out to the placeholders of a batch, in order.
 *
 * @throws {InputError} When there are more or fewer than placeholders.
 */
export function placeSoftTokens(
  sequences: readonly Pick<UnpaddedSequence, "ids" | "columns">[],
  sources: SoftTokenSources,
  config: Gemma3nConfig,
): UnpaddedSequence[] {
  const rows = sequences.map(({ ids }) => new Int32Array(ids.length).fill(-1));
  const data: Float32Array[] = [];
  let offset = 0;
  const deal = (
    source: HostTensor<"float32"> | undefined,
    placeholder: number,
    noun: string,
  ) => {
    if (source === undefined) return;
    const [count = 0, size = 0] = source.shape;
    let next = 0;
    sequences.forEach(({ ids }, i) =>
      ids.forEach((id, t) => {
        if (id === placeholder) rows[i]![t] = offset + next++;
      })
    );
    if (next !== count * size) {
      throw new InputError(
        `Cannot match ${noun} to the prompt: it has ${next} placeholders (token ${placeholder}), the ${noun} make ${
          count * size
        } soft tokens; let the processor expand them`,
      );
    }
    offset += next;
    data.push(source.data);
  };
  deal(sources.image, config.imageTokenId, "pictures");
  deal(sources.audio, config.audioTokenId, "clips");
  if (data.length === 0) {
    return sequences.map((sequence) => ({ ...sequence, soft: undefined }));
  }
  const all = joined(data);
  return sequences.map((sequence, i) => ({
    ...sequence,
    soft: { data: all, rows: rows[i]! },
  }));
}

function joined(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0]!;
  const out = new Float32Array(parts[0]!.length + parts[1]!.length);
  out.set(parts[0]!);
  out.set(parts[1]!, parts[0]!.length);
  return out;
}
