// Ids to text, one id at a time, never taking anything back.

/** What decoding needs of a tokenizer. */
export interface IdDecoder {
  /** Text of the ids; with `skipSpecialTokens`, without control tokens. */
  decode(
    ids: ArrayLike<number>,
    options?: { skipSpecialTokens?: boolean },
  ): string;
  /** The token as spelled in the vocabulary; lets byte tokens of ASCII, such as `<0x41>`, be known from letters. */
  idToToken?(id: number): string | undefined;
}

/** Options of {@link IncrementalDecoder}. */
export interface IncrementalDecoderOptions {
  /** Leave control tokens out. Default false. */
  readonly skipSpecialTokens?: boolean | undefined;
}

const REPLACEMENT_CHARACTER = "\ufffd";
const BYTE_TOKEN = /^<0x[0-9A-Fa-f]{2}>$/;

/**
 * Decodes a growing sequence: the pieces, joined, are the decoding of the whole.
 *
 * Tokens may be single bytes, and a run of them is text only as a whole: one
 * byte that does not fit can turn all of its run into replacement characters.
 * So a run is held back until a token of ordinary text ends it. Only the last
 * piece and what follows are decoded again, the former because some decoders
 * treat the first token of a text specially.
 */
export class IncrementalDecoder {
  readonly #decoder: IdDecoder;
  readonly #options: { skipSpecialTokens: boolean };
  #context: number[] = [];
  #held: number[] = [];

  /** Starts with no ids. */
  constructor(decoder: IdDecoder, options: IncrementalDecoderOptions = {}) {
    this.#decoder = decoder;
    this.#options = { skipSpecialTokens: options.skipSpecialTokens ?? false };
  }

  /** Appends an id; returns the text that is certain now and was not before. */
  push(id: number): string {
    this.#held.push(id);
    return this.#endsRun(id) ? this.flush() : "";
  }

  #endsRun(id: number): boolean {
    const alone = this.#decoder.decode([id], this.#options);
    if (alone === "" || alone.includes(REPLACEMENT_CHARACTER)) return false;
    return !BYTE_TOKEN.test(this.#decoder.idToToken?.(id) ?? "");
  }

  /** Text of the ids held back, as it would be if nothing followed. */
  pending(): string {
    if (this.#held.length === 0) return "";
    const before = this.#decoder.decode(this.#context, this.#options);
    const all = this.#decoder.decode(
      [...this.#context, ...this.#held],
      this.#options,
    );
    return all.slice(before.length);
  }

  /** Returns the text of the ids held back and holds nothing any more. */
  flush(): string {
    const text = this.pending();
    if (this.#held.length > 0) {
      this.#context = this.#held;
      this.#held = [];
    }
    return text;
  }
}
