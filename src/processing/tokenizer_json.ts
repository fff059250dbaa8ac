// Checks that a tokenizer.json describes the pipeline that tokenizer.ts
// computes, the one of all Gemma models, and takes out its data.
import type { BPE } from "@huggingface/tokenizers";
import { CheckpointError } from "../core/errors.ts";
import { isJsonObject, type JsonObject } from "../core/json.ts";

/** What tokenizer.json holds. */
export interface TokenizerJson {
  /** Vocabulary and merges of byte-pair encoding. */
  readonly model: ConstructorParameters<typeof BPE>[0];
  /** Tokens found in a text before byte-pair encoding. */
  readonly addedTokens: readonly AddedToken[];
  /** Special tokens before a text. */
  readonly prefix: readonly string[];
  /** Special tokens after a text. */
  readonly suffix: readonly string[];
}

/** A token that is found in a text before byte-pair encoding. */
export interface AddedToken {
  /** Its token id. */
  readonly id: number;
  /** Its text. */
  readonly content: string;
  /** Whether it is looked for after spaces have become "▁". */
  readonly normalized: boolean;
  /** Whether decoding can leave it out. */
  readonly special: boolean;
}

function fail(what: string): CheckpointError {
  return new CheckpointError(`Cannot use "tokenizer.json": ${what}`, {
    file: "tokenizer.json",
  });
}

/**
 * Reads a parsed tokenizer.json.
 *
 * @throws {CheckpointError} When it is not the tokenizer of a Gemma model.
 */
export function parseTokenizerJson(json: unknown): TokenizerJson {
  if (!isJsonObject(json)) throw fail("it is not an object");
  checkPipeline(json);
  return {
    model: parseModel(json["model"]),
    addedTokens: parseAddedTokens(json["added_tokens"] ?? []),
    ...parsePostProcessor(json["post_processor"] ?? null),
  };
}

function checkPipeline(json: JsonObject): void {
  const { normalizer, pre_tokenizer: split, decoder } = json;
  if (
    !isJsonObject(normalizer) || normalizer["type"] !== "Replace" ||
    !isSpace(normalizer["pattern"]) || normalizer["content"] !== "▁"
  ) throw fail('its normalizer does not replace " " by "▁"');
  // There are no spaces left to split at, so this step does nothing.
  if (
    split !== null && split !== undefined &&
    !(isJsonObject(split) && split["type"] === "Split" &&
      isSpace(split["pattern"]))
  ) throw fail('its pre-tokenizer is not a split at " "');
  const decoders = isJsonObject(decoder) && Array.isArray(decoder["decoders"])
    ? decoder["decoders"].map((d: unknown) => isJsonObject(d) ? d["type"] : d)
    : [];
  if (decoders.join() !== "Replace,ByteFallback,Fuse") {
    throw fail(
      `its decoder is [${decoders.join()}], wanted [Replace,ByteFallback,Fuse]`,
    );
  }
}

function isSpace(pattern: unknown): boolean {
  return isJsonObject(pattern) && pattern["String"] === " ";
}

function parseModel(model: unknown): TokenizerJson["model"] {
  if (!isJsonObject(model) || model["type"] !== "BPE") {
    throw fail('its model is not of type "BPE"');
  }
  const { vocab, merges } = model;
  if (!isJsonObject(vocab) || !Array.isArray(merges)) {
    throw fail('its model lacks "vocab" or "merges"');
  }
  for (let byte = 0; byte < 256; byte++) {
    const hex = byte.toString(16).toUpperCase().padStart(2, "0");
    if (model["byte_fallback"] !== true || !(`<0x${hex}>` in vocab)) {
      throw fail(`its model has no fallback for the byte 0x${hex}`);
    }
  }
  return model as unknown as TokenizerJson["model"];
}

function parseAddedTokens(tokens: unknown): AddedToken[] {
  if (!Array.isArray(tokens)) throw fail('"added_tokens" is not a list');
  return tokens.map((token: unknown) => {
    if (
      !isJsonObject(token) || typeof token["id"] !== "number" ||
      typeof token["content"] !== "string"
    ) throw fail("an added token lacks its id or content");
    for (const flag of ["lstrip", "rstrip", "single_word"]) {
      if (token[flag] === true) {
        throw fail(
          `its added token "${
            token["content"]
          }" is "${flag}", which is not supported`,
        );
      }
    }
    return {
      id: token["id"],
      content: token["content"],
      normalized: token["normalized"] === true,
      special: token["special"] === true,
    };
  });
}

function parsePostProcessor(
  json: unknown,
): { prefix: string[]; suffix: string[] } {
  const prefix: string[] = [];
  const suffix: string[] = [];
  if (json === null) return { prefix, suffix };
  if (
    !isJsonObject(json) || json["type"] !== "TemplateProcessing" ||
    !Array.isArray(json["single"])
  ) throw fail("its post-processor is not a template");
  let side = prefix;
  for (const item of json["single"] as unknown[]) {
    const special = isJsonObject(item) ? item["SpecialToken"] : undefined;
    if (!isJsonObject(special)) side = suffix;
    else if (typeof special["id"] === "string") side.push(special["id"]);
    else throw fail("a special token of its post-processor has no id");
  }
  return { prefix, suffix };
}
