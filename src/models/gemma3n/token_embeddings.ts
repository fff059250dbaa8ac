// Rows of a step before the first layer: text tokens from the decoder's own
// table, ids of the vision and audio vocabularies by the hard path, soft
// tokens as the towers made them. Transformers' Gemma3nModel.forward.
import type { Device } from "../../ops/device.ts";
import type { Tensor } from "../../ops/ops.ts";
import type { TokenOps } from "../../ops/token_ops.ts";
import type { Gemma3nConfig } from "./config.ts";
import { embedHardTokens, type HardEmbedder } from "./multimodal_embedder.ts";
import type { TextWeights } from "./text_weights.ts";

/** Soft tokens of a sequence and where they stand. */
export interface SoftTokens {
  /** Rows of D values. */
  readonly data: Float32Array;
  /** Row of `data` for each new token; -1 where the token's own embedding is used. */
  readonly rows: Int32Array;
}

/** Hard embedders of a checkpoint with towers. */
export interface HardEmbedders {
  readonly vision: HardEmbedder;
  readonly audio: HardEmbedder;
}

/** Where a row's embedding comes from. */
type Source = "text" | "vision" | "audio" | "soft";
const SOURCES: readonly Source[] = ["text", "vision", "audio", "soft"];

/**
 * Embeds the rows of a step: `[T, D]`. `soft[t]` is a row's soft token, a view
 * of D values, or `undefined`.
 */
export function embedTokens(
  device: Device,
  w: TextWeights,
  hard: HardEmbedders | undefined,
  config: Gemma3nConfig,
  ids: Int32Array,
  soft: readonly (Float32Array | undefined)[],
): Tensor {
  const D = config.textConfig.hiddenSize;
  const rowsBySource: Record<Source, number[]> = {
    text: [],
    vision: [],
    audio: [],
    soft: [],
  };
  const sources = Array.from(
    ids,
    (id, t) => sourceOf(hard, id, soft[t] !== undefined),
  );
  sources.forEach((source, t) => rowsBySource[source].push(t));
  const pick = (source: Source) =>
    Int32Array.from(rowsBySource[source], (t) => ids[t]!);

  const tensors: Tensor[] = [];
  const index = new Int32Array(ids.length);
  let offset = 0;
  for (const source of SOURCES) {
    const rows = rowsBySource[source];
    if (rows.length === 0) continue;
    rows.forEach((t, i) => index[t] = offset + i);
    offset += rows.length;
    if (source === "text") {
      const scale = Math.fround(Math.sqrt(D));
      tensors.push(device.ops.embedding(w.embedTokens, pick(source), scale));
    } else if (source === "soft") {
      const data = new Float32Array(rows.length * D);
      rows.forEach((t, i) => data.set(soft[t]!, i * D));
      tensors.push(device.upload(data, [rows.length, D]));
    } else {
      tensors.push(embedHardTokens(device.ops, hard![source], pick(source)));
    }
  }
  return tensors.length === 1
    ? tensors[0]!
    : device.ops.gatherRows(tensors, index);
}

/** Embeds the ids that the device has chosen, all of the text vocabulary: `[rows, D]`. */
export function embedChosenTokens(
  tokens: TokenOps,
  w: TextWeights,
  { textConfig }: Gemma3nConfig,
  slot: number,
  rows: number,
): Tensor {
  const scale = Math.fround(Math.sqrt(textConfig.hiddenSize));
  return tokens.embedding(w.embedTokens, slot, rows, scale);
}

/** Ids below this are embedded by the decoder's tables alone. */
export function textVocabSize(
  hard: HardEmbedders | undefined,
  { textConfig }: Gemma3nConfig,
): number {
  const { vocabSize, vocabSizePerLayerInput } = textConfig;
  return Math.min(
    vocabSizePerLayerInput,
    hard?.vision.vocabOffset ?? vocabSize,
  );
}

function sourceOf(
  hard: HardEmbedders | undefined,
  id: number,
  isSoft: boolean,
): Source {
  if (isSoft) return "soft";
  if (hard === undefined || id < hard.vision.vocabOffset) return "text";
  return id < hard.audio.vocabOffset ? "vision" : "audio";
}
