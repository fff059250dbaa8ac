// What tokenizer_config.json says, in the spellings of 2025 and of Transformers 5.
import { CheckpointError } from "../core/errors.ts";
import { isJsonObject, type JsonObject } from "../core/json.ts";

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
