// Finding stop strings in text that arrives in pieces.

/** Text up to a stop string. */
export interface CutText {
  /** The text before the stop string; all of it when there is none. */
  readonly text: string;
  /** The stop string that was found first. */
  readonly stopString: string | undefined;
}

/** Cuts text at the first stop string; where two begin at the same place, at the longer. */
export function cutAtStopString(
  text: string,
  stopStrings: readonly string[],
): CutText {
  let at = text.length;
  let found: string | undefined;
  for (const candidate of stopStrings) {
    const index = text.indexOf(candidate);
    if (index < 0 || index > at) continue;
    if (index === at && candidate.length <= (found?.length ?? 0)) continue;
    at = index;
    found = candidate;
  }
  return { text: text.slice(0, at), stopString: found };
}

/**
 * Watches a text for stop strings. Pieces go in, and come out once they cannot
 * be part of one; after a stop string nothing comes out.
 */
export class StopStringWatcher {
  readonly #stopStrings: readonly string[];
  #held = "";
  #found: string | undefined;

  /** Starts with no text. */
  constructor(stopStrings: readonly string[]) {
    this.#stopStrings = stopStrings;
  }

  /** The stop string that ended the text, if one did. */
  get found(): string | undefined {
    return this.#found;
  }

  /** Appends text; returns what is certainly before any stop string. */
  push(piece: string): string {
    if (this.#found !== undefined) return "";
    const { text, stopString } = cutAtStopString(
      this.#held + piece,
      this.#stopStrings,
    );
    this.#found = stopString;
    const kept = stopString === undefined ? this.#possibleStart(text) : 0;
    this.#held = text.slice(text.length - kept);
    return text.slice(0, text.length - kept);
  }

  /** The stop string there would be if the text went on with `piece`; nothing is appended. */
  peek(piece: string): string | undefined {
    return this.#found ??
      cutAtStopString(this.#held + piece, this.#stopStrings).stopString;
  }

  /** Ends the text: returns what was held back. */
  flush(): string {
    const rest = this.#found === undefined ? this.#held : "";
    this.#held = "";
    return rest;
  }

  /** Length of the longest end of the text that a stop string begins with. */
  #possibleStart(text: string): number {
    let longest = 0;
    for (const stop of this.#stopStrings) {
      for (
        let length = Math.min(stop.length - 1, text.length);
        length > longest;
        length--
      ) {
        if (text.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
