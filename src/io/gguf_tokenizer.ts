// The tokenizer of a GGUF file as tokenizer.json and tokenizer_config.json. The
// file has pieces with scores, as SentencePiece; byte-pair merges follow from
// the scores as in Transformers' conversion of SentencePiece models.
import { CheckpointError, UnsupportedError } from "../core/errors.ts";
import type { Json, JsonObject } from "../core/json.ts";
import type { GgufHeader } from "./gguf.ts";

/** Kinds of tokens, by their number in the file. */
export const TOKEN_TYPES = {
  normal: 1,
  unknown: 2,
  control: 3,
  userDefined: 4,
  unused: 5,
  byte: 6,
} as const;

/** Score that converters give to added tokens; SentencePiece has 0 for them. */
export const ADDED_TOKEN_SCORE = -1000;

/** Key of the merges, which are only there when the scores do not give them. */
export const MERGES_KEY = "tokenizer.ggml.merges";

/** Names of special tokens, in tokenizer_config.json and in a GGUF file. */
export const SPECIAL_IDS: readonly (readonly [string, string])[] = [
  ["bos_token", "tokenizer.ggml.bos_token_id"],
  ["eos_token", "tokenizer.ggml.eos_token_id"],
  ["pad_token", "tokenizer.ggml.padding_token_id"],
  ["unk_token", "tokenizer.ggml.unknown_token_id"],
];

/** Pieces of a vocabulary by id. */
export interface GgufVocabulary {
  readonly tokens: readonly string[];
  readonly scores: ArrayLike<number>;
  readonly types: ArrayLike<number>;
}

/** Longest piece, in UTF-16 units, that is looked at for merges. */
const MAX_PIECE_LENGTH = 1024;

/** Two pieces that become one. */
export type Merge = readonly [string, string];

/**
 * tokenizer.json of a file.
 *
 * @throws {CheckpointError} When the vocabulary is missing or its lists differ in length.
 * @throws {UnsupportedError} When the tokenizer is not one of SentencePiece.
 */
export function ggufTokenizerJson(
  header: GgufHeader,
  file: string,
): JsonObject {
  const vocabulary = readVocabulary(header, file);
  const { tokens, types } = vocabulary;
  const bos = header.metadata.get("tokenizer.ggml.add_bos_token") ?? true;
  const bosId = header.metadata.get("tokenizer.ggml.bos_token_id");
  const bosToken = typeof bosId === "number" ? tokens[bosId] : undefined;
  return {
    normalizer: { type: "Replace", pattern: { String: " " }, content: "▁" },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
      ],
    },
    post_processor: bos === true && bosToken !== undefined
      ? {
        type: "TemplateProcessing",
        single: [{ SpecialToken: { id: bosToken, type_id: 0 } }, {
          Sequence: { id: "A", type_id: 0 },
        }],
      }
      : null,
    added_tokens: addedTokens(tokens, types),
    model: {
      type: "BPE",
      unk_token: "<unk>",
      byte_fallback: true,
      fuse_unk: true,
      ignore_merges: false,
      vocab: modelVocabulary(vocabulary),
      merges: storedMerges(header) ?? mergesOf(vocabulary),
    },
  };
}

/** tokenizer_config.json of a file: names of special tokens, chat template. */
export function ggufTokenizerConfig(header: GgufHeader): JsonObject {
  const tokens = header.metadata.get("tokenizer.ggml.tokens");
  const config: Record<string, Json> = { padding_side: "left" };
  for (const [name, key] of SPECIAL_IDS) {
    const id = header.metadata.get(key);
    const token = Array.isArray(tokens) && typeof id === "number"
      ? tokens[id]
      : undefined;
    if (typeof token === "string") config[name] = token;
  }
  // A vocabulary that starts with padding may leave its id out.
  config["pad_token"] ??= "<pad>";
  const template = header.metadata.get("tokenizer.chat_template");
  if (typeof template === "string") config["chat_template"] = template;
  return config;
}

/**
 * Byte-pair merges of a vocabulary, first to last: for every piece, all ways to
 * cut it into two pieces; better scores first, then longer left parts.
 */
export function mergesOf(
  { tokens, scores, types }: GgufVocabulary,
): Merge[] {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const found: { left: string; right: string; score: number }[] = [];
  for (const [id, token] of tokens.entries()) {
    if (
      types[id] === TOKEN_TYPES.unused || token.length > MAX_PIECE_LENGTH
    ) continue;
    const score = types[id] !== TOKEN_TYPES.normal &&
        scores[id] === ADDED_TOKEN_SCORE
      ? 0
      : scores[id]!;
    const local: { left: string; right: string; score: number }[] = [];
    for (let at = 1; at < token.length; at++) {
      const left = token.slice(0, at);
      const right = token.slice(at);
      if (ids.has(left) && ids.has(right)) local.push({ left, right, score });
    }
    local.sort((a, b) =>
      ids.get(a.left)! - ids.get(b.left)! ||
      ids.get(a.right)! - ids.get(b.right)!
    );
    found.push(...local);
  }
  found.sort((a, b) =>
    b.score - a.score || codePoints(b.left) - codePoints(a.left) ||
    codePoints(b.right) - codePoints(a.right)
  );
  return found.map(({ left, right }) => [left, right]);
}

function codePoints(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0xdc00 || unit > 0xdfff) count++;
  }
  return count;
}

function readVocabulary(header: GgufHeader, file: string): GgufVocabulary {
  const { metadata } = header;
  const model = metadata.get("tokenizer.ggml.model");
  if (model !== "llama") {
    throw new UnsupportedError(
      `Cannot use the tokenizer of "${file}": it is of the kind "${
        String(model)
      }", "llama" is supported; put the model's tokenizer.json beside the file`,
    );
  }
  const tokens = metadata.get("tokenizer.ggml.tokens");
  const scores = metadata.get("tokenizer.ggml.scores");
  const types = metadata.get("tokenizer.ggml.token_type");
  if (
    !isStrings(tokens) || !(scores instanceof Float32Array) ||
    !(types instanceof Int32Array || types instanceof Uint32Array) ||
    scores.length !== tokens.length || types.length !== tokens.length
  ) {
    throw new CheckpointError(
      `Cannot use the tokenizer of "${file}": "tokenizer.ggml.tokens", "scores" and "token_type" must be lists of one length; ` +
        "put the model's tokenizer.json beside the file",
      { file },
    );
  }
  // Spaces in user-defined tokens are spelled out by converters.
  const spelled = tokens.map((token, id) =>
    types[id] === TOKEN_TYPES.userDefined ? token.replaceAll(" ", "▁") : token
  );
  return { tokens: spelled, scores, types };
}

function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((v) => typeof v === "string");
}

function addedTokens(
  tokens: readonly string[],
  types: ArrayLike<number>,
): Json[] {
  const added: Json[] = [];
  for (const [id, content] of tokens.entries()) {
    const type = types[id];
    const isControl = type === TOKEN_TYPES.control ||
      type === TOKEN_TYPES.unknown;
    if (!isControl && type !== TOKEN_TYPES.userDefined) continue;
    added.push({ id, content, normalized: false, special: isControl });
  }
  return added;
}

function modelVocabulary(
  { tokens, types }: GgufVocabulary,
): Record<string, number> {
  const vocab: Record<string, number> = Object.create(null);
  for (const [id, token] of tokens.entries()) {
    if (types[id] !== TOKEN_TYPES.unused) vocab[token] = id;
  }
  return vocab;
}

function storedMerges(header: GgufHeader): Json | undefined {
  const merges = header.metadata.get(MERGES_KEY);
  return isStrings(merges) ? merges : undefined;
}
