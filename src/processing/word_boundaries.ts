// Where a text may be cut before byte-pair encoding without changing its
// tokens. Gemma encodes a whole text as one word, which is slow and blocks;
// but no merge reaches across a pair of characters that no token contains.

// Characters worth looking before: spaces (which are "▁" by now), newlines and the punctuation of languages without spaces.
const ANCHORS = "▁\n。，、";

/** Knows the places where texts can be cut for one vocabulary. */
export class WordBoundaries {
  /** For each anchor the characters that come right before it in some token. */
  readonly #joined: ReadonlyMap<string, ReadonlySet<string>>;

  /** `tokens` is the whole vocabulary of byte-pair encoding. */
  constructor(tokens: Iterable<string>) {
    const joined = new Map<string, Set<string>>();
    for (const anchor of ANCHORS) joined.set(anchor, new Set());
    for (const token of tokens) {
      for (let i = 1; i < token.length; i++) {
        joined.get(token[i]!)?.add(token[i - 1]!);
      }
    }
    this.#joined = joined;
  }

  /** The pieces of a text, about one per word; they join to the text. */
  *split(text: string): Generator<string> {
    let start = 0;
    for (let i = 1; i < text.length; i++) {
      const joined = this.#joined.get(text[i]!);
      if (joined === undefined || joined.has(text[i - 1]!)) {
        continue;
      }
      yield text.slice(start, i);
      start = i;
    }
    if (start < text.length) yield text.slice(start);
  }
}
