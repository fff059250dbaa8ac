// What tokenizer.json and tokenizer_config.json say beside the vocabulary, in
// the spellings of 2025 and of Transformers 5.
import { CheckpointError } from "../core/errors.ts";
import { isJsonObject, type JsonObject } from "../io/json.ts";

/** Special tokens by their key in tokenizer_config.json, e.g. `bos_token`. */
export type SpecialTokens = Readonly<Record<string, string>>;

/** The parts of tokenizer_config.json that matter here. */
export interface TokenizerConfig {
  /** By their key in the file, e.g. `bos_token`. */
  readonly specialTokens: SpecialTokens;
  /** The side on which shorter sequences are padded. */
  readonly paddingSide: "left" | "right";
}

/**
 * Reads a parsed tokenizer_config.json.
 *
 * @throws {CheckpointError} When it is not an object or has a bad padding side.
 */
export function parseTokenizerConfig(json: unknown): TokenizerConfig {
  const file = "tokenizer_config.json";
  if (!isJsonObject(json)) {
    throw new CheckpointError(`Cannot read "${file}": it is not an object`, {
      file,
    });
  }
  const paddingSide = json["padding_side"] ?? "left";
  if (paddingSide !== "left" && paddingSide !== "right") {
    throw new CheckpointError(
      `Cannot read "${file}": "padding_side" is ${
        JSON.stringify(paddingSide)
      }, wanted "left" or "right"`,
      { file },
    );
  }
  // Transformers takes a named extra token only from an object; a list has no names.
  const extra = json["extra_special_tokens"];
  return {
    specialTokens: {
      ...(isJsonObject(extra) ? namedTokens(extra) : {}),
      ...namedTokens(json),
    },
    paddingSide,
  };
}

function namedTokens(json: JsonObject): Record<string, string> {
  const tokens: Record<string, string> = {};
  for (const [key, value] of Object.entries(json)) {
    if (!key.endsWith("_token")) continue;
    const content = isJsonObject(value) ? value["content"] : value;
    if (typeof content === "string") tokens[key] = content;
  }
  return tokens;
}

/** The parts of tokenizer.json that are checked or used here. */
export interface TokenizerJson {
  /** The parsed file. */
  readonly json: JsonObject;
  /** Tokens of byte-pair encoding. */
  readonly vocabulary: readonly string[];
  /** Tokens found in a text before byte-pair encoding. */
  readonly addedTokens: readonly AddedToken[];
  /** Whether texts may be cut at {@link WordBoundaries}. */
  readonly cuttable: boolean;
}

/** A token that is found in the text before byte-pair encoding. */
export interface AddedToken {
  /** Its token id. */
  readonly id: number;
  /** Its text. */
  readonly content: string;
  /** Whether decoding can leave it out. */
  readonly special: boolean;
}

/**
 * Checks a parsed tokenizer.json.
 *
 * @throws {CheckpointError} When it is not the tokenizer of a Gemma model.
 */
export function parseTokenizerJson(json: unknown): TokenizerJson {
  const file = "tokenizer.json";
  const fail = (what: string) =>
    new CheckpointError(`Cannot read "${file}": ${what}`, { file });
  if (!isJsonObject(json)) throw fail("it is not an object");
  const { model, decoder } = json;
  if (!isJsonObject(model) || !isJsonObject(model["vocab"])) {
    throw fail('it has no "model" with a "vocab"');
  }
  if (model["type"] !== "BPE" || !Array.isArray(model["merges"])) {
    throw fail(
      `its model is of type ${JSON.stringify(model["type"])}, wanted "BPE"`,
    );
  }
  const decoders = isJsonObject(decoder) && Array.isArray(decoder["decoders"])
    ? decoder["decoders"].map((d: unknown) => isJsonObject(d) ? d["type"] : d)
    : [];
  if (decoders.join() !== "Replace,ByteFallback,Fuse") {
    throw fail(
      `its decoder is [${decoders.join()}], wanted [Replace,ByteFallback,Fuse]`,
    );
  }
  const added: unknown = json["added_tokens"] ?? [];
  if (!Array.isArray(added)) throw fail('"added_tokens" is not a list');
  const addedTokens = added.map((token: unknown): AddedToken => {
    if (
      !isJsonObject(token) || typeof token["id"] !== "number" ||
      typeof token["content"] !== "string"
    ) throw fail("an added token lacks its id or content");
    return {
      id: token["id"],
      content: token["content"],
      special: token["special"] === true,
    };
  });
  const cuttable = model["byte_fallback"] === true &&
    isSpaceReplacement(json["normalizer"]) &&
    isSpaceSplit(json["pre_tokenizer"]) &&
    added.every((token) =>
      !token["lstrip"] && !token["rstrip"] && !token["single_word"]
    );
  const vocabulary = Object.keys(model["vocab"]);
  return { json, vocabulary, addedTokens, cuttable };
}

function isSpaceReplacement(normalizer: unknown): boolean {
  return isJsonObject(normalizer) && normalizer["type"] === "Replace" &&
    isJsonObject(normalizer["pattern"]) &&
    normalizer["pattern"]["String"] === " " && normalizer["content"] === "▁";
}

function isSpaceSplit(preTokenizer: unknown): boolean {
  return preTokenizer === null ||
    isJsonObject(preTokenizer) && preTokenizer["type"] === "Split" &&
      isJsonObject(preTokenizer["pattern"]) &&
      preTokenizer["pattern"]["String"] === " ";
}
