// A placeholder in a prompt becomes its run of soft tokens, as text and before
// tokenising, so that the newlines around it merge with those of the prompt.
import { CheckpointError } from "../core/errors.ts";
import type { GemmaTokenizer } from "./tokenizer.ts";

/** How one kind of media stands in a text. */
export interface Placeholder {
  /** The soft token, e.g. `<image_soft_token>`; alone it is the placeholder. */
  readonly token: string;
  /** Id of the soft token. */
  readonly tokenId: number;
  /** What replaces the placeholder. */
  readonly expansion: string;
}

/**
 * Builds the placeholder of one kind of media from a tokenizer's special
 * tokens; `undefined` where the tokenizer knows none (a text-only checkpoint).
 *
 * @param length - Soft tokens per picture or clip.
 * @throws {CheckpointError} When some of the three tokens are missing.
 */
export function placeholder(
  tokenizer: GemmaTokenizer,
  kind: "image" | "audio",
  length: number,
): Placeholder | undefined {
  const initial = kind[0]!;
  const keys = [`${kind}_token`, `bo${initial}_token`, `eo${initial}_token`];
  const tokens = keys.map((key) => tokenizer.specialTokens[key]);
  if (tokens.every((token) => token === undefined)) return undefined;
  const [token, begin, end] = tokens;
  const tokenId = token === undefined ? undefined : tokenizer.tokenToId(token);
  if (token === undefined || tokenId === undefined || !begin || !end) {
    throw new CheckpointError(
      `Cannot place ${kind} tokens: tokenizer_config.json must name "${
        keys.join('", "')
      }" and tokenizer.json must know them`,
      { file: "tokenizer_config.json" },
    );
  }
  const expansion = `\n\n${begin}${token.repeat(length)}${end}\n\n`;
  return { token, tokenId, expansion };
}

/** How often a placeholder occurs in a text. */
export function countPlaceholders(text: string, kind: Placeholder): number {
  return text.split(kind.token).length - 1;
}

/** The text with every placeholder of a kind expanded. */
export function expandPlaceholders(
  text: string,
  kind: Placeholder | undefined,
): string {
  return kind === undefined
    ? text
    : text.replaceAll(kind.token, () => kind.expansion);
}
