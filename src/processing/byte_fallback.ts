// From tokens to text as the decoder of Gemma's tokenizer.json does it: "▁" is
// a space, and a run of byte tokens "<0xE2>" is UTF-8.

const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2})>$/;

/** Byte of a token such as `<0x0A>`; `undefined` for other tokens. */
export function byteOfToken(token: string): number | undefined {
  const match = BYTE_TOKEN.exec(token);
  return match === null ? undefined : parseInt(match[1]!, 16);
}

/**
 * Turns tokens into text one by one.
 *
 * Bytes wait until their run ends, because the reference decodes a run as a
 * whole: one bad sequence in it makes every byte of it U+FFFD (a TextDecoder
 * would keep the good ones). So the pieces always join to what decoding all
 * tokens at once gives, and none ends inside a character.
 */
export class ByteFallbackDecoder {
  // A byte order mark is text here, which TextDecoder drops unless told.
  readonly #utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #run: number[] = [];

  /** Adds a token; returns the text that is now certain, often none. */
  push(token: string): string {
    const byte = byteOfToken(token);
    if (byte === undefined) return this.flush() + token.replaceAll("▁", " ");
    this.#run.push(byte);
    return "";
  }

  /** Ends a run of bytes; returns its text. */
  flush(): string {
    const run = Uint8Array.from(this.#run);
    this.#run = [];
    try {
      return this.#utf8.decode(run);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      return "\ufffd".repeat(run.length);
    }
  }
}
