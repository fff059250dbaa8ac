// Text to token ids and back, as Transformers' GemmaTokenizer does it.
import { Tokenizer } from "@huggingface/tokenizers";
import { CheckpointError, InputError } from "../core/errors.ts";
import type { JsonObject } from "../io/json.ts";
import { textOfTokens } from "./byte_fallback.ts";
import {
  parseTokenizerConfig,
  parseTokenizerJson,
  type SpecialTokens,
} from "./tokenizer_config.ts";
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

/** The tokenizer of Gemma: byte-pair encoding with byte fallback. */
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
  readonly #bpe: Tokenizer;
  readonly #boundaries: WordBoundaries | undefined;
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
    const { json, vocabulary, addedTokens, cuttable } = parseTokenizerJson(
      tokenizerJson,
    );
    const config = parseTokenizerConfig(tokenizerConfig);
    this.#bpe = buildTokenizer(json);
    this.#boundaries = cuttable
      ? new WordBoundaries([
        ...vocabulary,
        ...addedTokens.map((token) => token.content),
      ])
      : undefined;
    this.specialTokens = config.specialTokens;
    this.paddingSide = config.paddingSide;
    this.bosTokenId = this.#idOf("bos_token");
    this.eosTokenId = this.#idOf("eos_token");
    const padTokenId = this.#idOf("pad_token");
    if (padTokenId === undefined) {
      throw new CheckpointError(
        'Cannot use the tokenizer: "pad_token" is missing in tokenizer_config.json or unknown to tokenizer.json',
        { file: "tokenizer_config.json" },
      );
    }
    this.padTokenId = padTokenId;

    const special = addedTokens.filter((token) => token.special);
    this.#specialIds = new Set([
      ...special.map((token) => token.id),
      ...Object.keys(config.specialTokens).flatMap((key) =>
        this.#idOf(key) ?? []
      ),
    ]);
    // add_bos_token of tokenizer_config.json has no say beside tokenizer.json.
    ({ prefix: this.#prefix, suffix: this.#suffix } = frame(this.#bpe));
  }

  /**
   * Token ids of a text. Long texts are encoded in slices, between which the
   * event loop runs. A lone surrogate counts as U+FFFD.
   */
  async encode(text: string, options: EncodeOptions = {}): Promise<Int32Array> {
    const { addSpecialTokens = true } = options;
    const wellFormed = text.toWellFormed();
    const ids: number[] = addSpecialTokens ? [...this.#prefix] : [];
    let sliceStart = performance.now();
    for (const piece of this.#boundaries?.split(wellFormed) ?? [wellFormed]) {
      if (performance.now() - sliceStart > SLICE_MS) {
        await new Promise((resolve) => setTimeout(resolve, 0));
        sliceStart = performance.now();
      }
      const encoded = this.#bpe.encode(piece, { add_special_tokens: false });
      for (const id of encoded.ids) ids.push(id);
    }
    if (addSpecialTokens) ids.push(...this.#suffix);
    return Int32Array.from(ids);
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
    return this.#bpe.token_to_id(token);
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
    return this.#bpe.id_to_token(id);
  }

  #idOf(key: string): number | undefined {
    const token = this.specialTokens[key];
    return token === undefined ? undefined : this.tokenToId(token);
  }
}

function buildTokenizer(json: JsonObject): Tokenizer {
  try {
    return new Tokenizer(json, {});
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CheckpointError(`Cannot read "tokenizer.json": ${reason}`, {
      file: "tokenizer.json",
      cause,
    });
  }
}

/** What the post-processor puts around the ids of a text. */
function frame(bpe: Tokenizer): { prefix: number[]; suffix: number[] } {
  const plain = bpe.encode("a", { add_special_tokens: false }).ids;
  const { ids } = bpe.encode("a", { add_special_tokens: true });
  const at = ids.indexOf(plain[0]!);
  return { prefix: ids.slice(0, at), suffix: ids.slice(at + plain.length) };
}
