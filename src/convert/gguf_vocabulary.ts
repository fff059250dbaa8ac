// The tokenizer's part of a GGUF file's metadata: pieces, scores and types as
// SentencePiece has them, from the byte-pair merges of a tokenizer.json.
import { CheckpointError } from "../core/errors.ts";
import { isJsonObject, type JsonObject } from "../core/json.ts";
import type { GgufMetadataValue } from "../io/gguf_header_writer.ts";
import {
  ADDED_TOKEN_SCORE,
  type GgufVocabulary,
  type Merge,
  MERGES_KEY,
  mergesOf,
  SPECIAL_IDS,
  TOKEN_TYPES,
} from "../io/gguf_tokenizer.ts";
import { parseTokenizerConfig } from "../processing/tokenizer_config.ts";
import { parseTokenizerJson } from "../processing/tokenizer_json.ts";

/** Largest magnitude of a score: float32 holds integers up to it. */
const MAX_MERGES = 2 ** 24;

/** The files of a tokenizer, parsed. */
export interface TokenizerFiles {
  readonly tokenizerJson: JsonObject;
  readonly tokenizerConfig: JsonObject;
  readonly chatTemplate: string | undefined;
}

/**
 * Metadata of a tokenizer.
 *
 * @param vocabSize Rows of the embedding; ids without a token become padding.
 * @param eosId The id that ends an answer.
 * @throws {CheckpointError} When a file is not what a Gemma model has.
 */
export function ggufTokenizerMetadata(
  files: TokenizerFiles,
  vocabSize: number,
  eosId: number | undefined,
): Map<string, GgufMetadataValue> {
  const { model, addedTokens, prefix } = parseTokenizerJson(
    files.tokenizerJson,
  );
  const ids = new Map(Object.entries(readIds(model)));
  const merges = readMerges(model);
  const vocabulary = pieces(ids, merges, vocabSize);
  for (const { id, content, special } of addedTokens) {
    checkId(id, content, vocabSize);
    ids.set(content, id);
    vocabulary.tokens[id] = content;
    vocabulary.types[id] = special
      ? TOKEN_TYPES.control
      : TOKEN_TYPES.userDefined;
  }
  const { specialTokens } = parseTokenizerConfig(files.tokenizerConfig);
  const unknown = ids.get(specialTokens["unk_token"] ?? "<unk>");
  if (unknown !== undefined) vocabulary.types[unknown] = TOKEN_TYPES.unknown;
  const metadata = new Map<string, GgufMetadataValue>([
    ["tokenizer.ggml.model", "llama"],
    ["tokenizer.ggml.pre", "default"],
    ["tokenizer.ggml.tokens", spelledOut(vocabulary)],
    ["tokenizer.ggml.scores", vocabulary.scores],
    ["tokenizer.ggml.token_type", vocabulary.types],
    ["tokenizer.ggml.add_bos_token", prefix.length > 0],
    ["tokenizer.ggml.add_eos_token", false],
    ["tokenizer.ggml.add_space_prefix", false],
  ]);
  for (const [name, key] of SPECIAL_IDS) {
    const token = specialTokens[name];
    const id = token === undefined ? undefined : ids.get(token);
    if (id !== undefined) metadata.set(key, { uint32: id });
  }
  if (eosId !== undefined) {
    metadata.set("tokenizer.ggml.eos_token_id", { uint32: eosId });
  }
  if (!sameMerges(merges, mergesOf(vocabulary))) {
    metadata.set(MERGES_KEY, merges.map((merge) => merge.join(" ")));
  }
  if (files.chatTemplate !== undefined) {
    metadata.set("tokenizer.chat_template", files.chatTemplate);
  }
  return metadata;
}

interface Pieces extends GgufVocabulary {
  readonly tokens: string[];
  readonly scores: Float32Array;
  readonly types: Int32Array;
}

// The score of a piece is minus the rank of the first merge that makes it, so
// that the best merge of SentencePiece is the first of byte-pair encoding.
function pieces(
  ids: ReadonlyMap<string, number>,
  merges: readonly Merge[],
  vocabSize: number,
): Pieces {
  const tokens = Array.from({ length: vocabSize }, (_, id) => `[PAD${id}]`);
  const scores = new Float32Array(vocabSize).fill(ADDED_TOKEN_SCORE);
  const types = new Int32Array(vocabSize).fill(TOKEN_TYPES.unused);
  for (const [token, id] of ids) {
    checkId(id, token, vocabSize);
    tokens[id] = token;
    const isByte = /^<0x[0-9A-F]{2}>$/.test(token);
    types[id] = isByte ? TOKEN_TYPES.byte : TOKEN_TYPES.normal;
    scores[id] = isByte ? 0 : -merges.length;
  }
  for (let rank = merges.length - 1; rank >= 0; rank--) {
    const id = ids.get(merges[rank]!.join(""));
    if (id !== undefined) scores[id] = -rank;
  }
  return { tokens, scores, types };
}

function checkId(id: number, token: string, vocabSize: number): void {
  if (!Number.isInteger(id) || id < 0 || id >= vocabSize) {
    throw new CheckpointError(
      `Cannot convert the tokenizer: "${token}" has the id ${id}, the model has ${vocabSize} embeddings`,
      { file: "tokenizer.json" },
    );
  }
}

// As converters do: llama.cpp looks for user-defined tokens in the text itself.
function spelledOut({ tokens, types }: Pieces): string[] {
  return tokens.map((token, id) =>
    types[id] === TOKEN_TYPES.userDefined ? token.replaceAll("▁", " ") : token
  );
}

function readIds(model: unknown): Record<string, number> {
  const vocab = isJsonObject(model) ? model["vocab"] : undefined;
  return (isJsonObject(vocab) ? vocab : {}) as Record<string, number>;
}

function readMerges(model: unknown): Merge[] {
  const merges = isJsonObject(model) ? model["merges"] : undefined;
  const list = Array.isArray(merges) ? merges : [];
  if (list.length > MAX_MERGES) {
    throw new CheckpointError(
      `Cannot convert the tokenizer: it has ${list.length} merges, at most ${MAX_MERGES} can be scored`,
      { file: "tokenizer.json" },
    );
  }
  return list.map((merge: unknown, rank): Merge => {
    const [left, right, ...rest] = typeof merge === "string"
      ? merge.split(" ")
      : merge as string[];
    if (left === undefined || right === undefined || rest.length > 0) {
      throw new CheckpointError(
        `Cannot convert the tokenizer: merge ${rank} is not a pair`,
        { file: "tokenizer.json" },
      );
    }
    return [left, right];
  });
}

function sameMerges(a: readonly Merge[], b: readonly Merge[]): boolean {
  return a.length === b.length &&
    a.every(([left, right], i) => left === b[i]![0] && right === b[i]![1]);
}
