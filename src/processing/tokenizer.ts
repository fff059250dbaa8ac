// Text to token ids and back, as Transformers' GemmaTokenizer does it.
import { BPE } from "@huggingface/tokenizers";
import { CheckpointError, InputError } from "../core/errors.ts";
import { AddedTokenSplitter, type Section } from "./added_tokens.ts";
import { textOfTokens } from "./byte_fallback.ts";
import {
  parseTokenizerConfig,
  type SpecialTokens,
} from "./tokenizer_config.ts";
import { parseTokenizerJson } from "./tokenizer_json.ts";
import { WordBoundaries } from "./word_boundaries.ts";

// Longest stretch of encoding between two turns of the event loop.
const SLICE_MS = 10;

/** Options of {@link GemmaTokenizer.encode}. */
export interface EncodeOptions {
  /** Whether to put `<bos>` before the text, as the tokenizer is set up. Default: true. */
  readonly addSpecialTokens?: boolean | undefined;
}

/** Options of {@link GemmaTokenizer.decode}. */
export interface DecodeOptions {
  /** Whether to leave out special tokens such as `<end_of_turn>`. Default: false. */
  readonly skipSpecialTokens?: boolean | undefined;
}

/**
 * The tokenizer of Gemma: byte-pair encoding with byte fallback.
 *
 * @example
 * ```ts
 * import { AutoProcessor } from "@g3n/core";
 *
 * const { tokenizer } = await AutoProcessor.fromPretrained("tests/reference/tiny");
 * const ids = await tokenizer.encode("Hello", { addSpecialTokens: false });
 * console.log(tokenizer.decode(ids)); // Hello
 * ```
 */
export class GemmaTokenizer {
  /** Special tokens by their key in tokenizer_config.json, e.g. `bos_token`. */
  readonly specialTokens: SpecialTokens;
  /** The side on which shorter sequences of a batch are padded. */
  readonly paddingSide: "left" | "right";
  /** Id of `pad_token`. */
  readonly padTokenId: number;
  /** Id of `bos_token`, if there is one. */
  readonly bosTokenId: number | undefined;
  /** Id of `eos_token`, if there is one. */
  readonly eosTokenId: number | undefined;
  readonly #bpe: BPE;
  readonly #boundaries: WordBoundaries;
  readonly #raw: AddedTokenSplitter;
  readonly #normalized: AddedTokenSplitter;
  readonly #addedIds: ReadonlyMap<string, number>;
  readonly #addedTokens: ReadonlyMap<number, string>;
  readonly #specialIds: ReadonlySet<number>;
  readonly #prefix: readonly number[];
  readonly #suffix: readonly number[];

  /**
   * Builds the tokenizer from the two parsed JSON files. With the vocabulary
   * of the released models (262,144 tokens) this takes about a second.
   *
   * @throws {CheckpointError} When a file is not what a Gemma model has.
   */
  constructor(tokenizerJson: unknown, tokenizerConfig: unknown) {
    const parsed = parseTokenizerJson(tokenizerJson);
    const config = parseTokenizerConfig(tokenizerConfig);
    const added = parsed.addedTokens;
    this.#bpe = new BPE(parsed.model);
    this.#boundaries = new WordBoundaries(this.#bpe.tokens_to_ids.keys());
    this.#raw = new AddedTokenSplitter(
      added.filter((token) => !token.normalized)
        .map(({ content, id }) => [content, id]),
    );
    this.#normalized = new AddedTokenSplitter(
      added.filter((token) => token.normalized)
        .map(({ content, id }) => [normalize(content), id]),
    );
    this.#addedIds = new Map(added.map(({ content, id }) => [content, id]));
    this.#addedTokens = new Map(added.map(({ content, id }) => [id, content]));
    this.specialTokens = config.specialTokens;
    this.paddingSide = config.paddingSide;
    this.bosTokenId = this.#idOf("bos_token");
    this.eosTokenId = this.#idOf("eos_token");
    this.padTokenId = this.#required(this.specialTokens["pad_token"]);
    this.#specialIds = new Set([
      ...added.filter((token) => token.special).map((token) => token.id),
      ...Object.keys(this.specialTokens).flatMap((key) =>
        this.#idOf(key) ?? []
      ),
    ]);
    // add_bos_token of tokenizer_config.json has no say beside tokenizer.json.
    this.#prefix = parsed.prefix.map((token) => this.#required(token));
    this.#suffix = parsed.suffix.map((token) => this.#required(token));
  }

  /**
   * Token ids of a text. Long texts are encoded in slices, between which the
   * event loop runs.
   *
   * @throws {InputError} When it is no text, or holds half of a surrogate pair.
   */
  async encode(text: string, options: EncodeOptions = {}): Promise<Int32Array> {
    const { addSpecialTokens = true } = options;
    const ids: number[] = addSpecialTokens ? [...this.#prefix] : [];
    let sliceStart = performance.now();
    checkText(text);
    for (const piece of this.#pieces(text)) {
      if (performance.now() - sliceStart > SLICE_MS) {
        await new Promise((resolve) => setTimeout(resolve, 0));
        sliceStart = performance.now();
      }
      if (typeof piece === "number") {
        ids.push(piece);
        continue;
      }
      for (const token of this.#bpe.encode([piece])) {
        ids.push(this.#bpe.tokens_to_ids.get(token)!);
      }
    }
    if (addSpecialTokens) ids.push(...this.#suffix);
    return Int32Array.from(ids);
  }

  /** Ids of added tokens, and the normalized text between them in pieces. */
  *#pieces(text: string): Generator<Section> {
    for (const raw of this.#raw.split(text)) {
      if (typeof raw === "number") {
        yield raw;
        continue;
      }
      for (const section of this.#normalized.split(normalize(raw))) {
        if (typeof section === "number") yield section;
        else yield* this.#boundaries.split(section);
      }
    }
  }

  /**
   * Text of token ids. Ids without a token are left out; spaces are kept as
   * they are; bytes that are not UTF-8 become U+FFFD.
   *
   * Of a growing list of ids the text may change at its end: while a run of
   * byte tokens is incomplete, all of the run is U+FFFD.
   *
   * @throws {InputError} When an id is not a non-negative integer.
   */
  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    const { skipSpecialTokens = false } = options;
    const tokens: string[] = [];
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i]!;
      if (skipSpecialTokens && this.#specialIds.has(id)) continue;
      const token = this.idToToken(id);
      if (token !== undefined) tokens.push(token);
    }
    return textOfTokens(tokens);
  }

  /** Id of a token as spelled in the vocabulary, e.g. `▁the` or `<bos>`. */
  tokenToId(token: string): number | undefined {
    return this.#addedIds.get(token) ?? this.#bpe.tokens_to_ids.get(token);
  }

  /**
   * Token of an id as spelled in the vocabulary, `undefined` where it has none.
   *
   * @throws {InputError} When the id is not a non-negative integer.
   */
  idToToken(id: number): string | undefined {
    if (!Number.isInteger(id) || id < 0) {
      throw new InputError(
        `Cannot decode the token id ${id}: wanted a non-negative integer`,
      );
    }
    return this.#addedTokens.get(id) ?? this.#bpe.vocab[id];
  }

  #idOf(key: string): number | undefined {
    const token = this.specialTokens[key];
    return token === undefined ? undefined : this.tokenToId(token);
  }

  #required(token: string | undefined): number {
    const id = token === undefined ? undefined : this.tokenToId(token);
    if (id !== undefined) return id;
    throw new CheckpointError(
      `Cannot use the tokenizer: ${
        token === undefined
          ? 'tokenizer_config.json names no "pad_token"'
          : `the special token "${token}" is not in tokenizer.json`
      }`,
    );
  }
}

// As Python, which cannot hand such text on as UTF-8.
function checkText(text: string): void {
  if (typeof text !== "string") {
    throw new InputError(
      `Cannot encode the text: it is ${
        text === null ? "null" : typeof text
      }, wanted a string`,
    );
  }
  if (text.isWellFormed()) return;
  const wellFormed = text.toWellFormed();
  let at = 0;
  while (text.charCodeAt(at) === wellFormed.charCodeAt(at)) at++;
  const code = text.charCodeAt(at).toString(16).toUpperCase();
  throw new InputError(
    `Cannot encode the text: character ${at} is the lone surrogate U+${code}, half of a pair; give whole characters, or replace it by toWellFormed()`,
  );
}

function normalize(text: string): string {
  return text.replaceAll(" ", "▁");
}
