// Finding the tokens that are cut out of a text before byte-pair encoding.

/** A stretch of text, or the id of an added token. */
export type Section = string | number;

interface TrieNode {
  readonly next: Map<string, TrieNode>;
  /** Id of the token that ends here. */
  id: number | undefined;
}

/** Splits texts at a fixed set of tokens: leftmost match first, then longest. */
export class AddedTokenSplitter {
  readonly #root: TrieNode = { next: new Map(), id: undefined };

  /** Takes the tokens with their ids. */
  constructor(tokens: Iterable<readonly [content: string, id: number]>) {
    for (const [content, id] of tokens) {
      let node = this.#root;
      for (const unit of content.split("")) {
        let next = node.next.get(unit);
        if (next === undefined) {
          next = { next: new Map(), id: undefined };
          node.next.set(unit, next);
        }
        node = next;
      }
      if (node !== this.#root) node.id = id;
    }
  }

  /** The text between tokens, and the tokens' ids, in order. */
  *split(text: string): Generator<Section> {
    let start = 0;
    let i = 0;
    while (i < text.length) {
      const match = this.#longestAt(text, i);
      if (match === undefined) {
        i++;
        continue;
      }
      if (i > start) yield text.slice(start, i);
      yield match.id;
      i = start = match.end;
    }
    if (start < text.length) yield text.slice(start);
  }

  #longestAt(
    text: string,
    start: number,
  ): { id: number; end: number } | undefined {
    let longest: { id: number; end: number } | undefined;
    let node = this.#root.next.get(text[start]!);
    for (let end = start + 1; node !== undefined; end++) {
      if (node.id !== undefined) longest = { id: node.id, end };
      node = end < text.length ? node.next.get(text[end]!) : undefined;
    }
    return longest;
  }
}
