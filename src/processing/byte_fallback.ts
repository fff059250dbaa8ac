// From tokens to text as the decoder of Gemma's tokenizer.json does it: "▁" is
// a space, and a run of byte tokens such as "<0xE2>" is UTF-8.

const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2})>$/;

/** Text of tokens as spelled in the vocabulary. */
export function textOfTokens(tokens: Iterable<string>): string {
  const texts: string[] = [];
  let run: number[] = [];
  for (const token of tokens) {
    const byte = BYTE_TOKEN.exec(token);
    if (byte !== null) {
      run.push(parseInt(byte[1]!, 16));
      continue;
    }
    texts.push(textOfBytes(run), token.replaceAll("▁", " "));
    run = [];
  }
  texts.push(textOfBytes(run));
  return texts.join("");
}

// The reference decodes a run as a whole: one bad sequence in it makes every
// byte of it U+FFFD, where a lenient TextDecoder keeps the good ones. And a
// byte order mark is text, which TextDecoder drops unless told.
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function textOfBytes(run: readonly number[]): string {
  if (run.length === 0) return "";
  try {
    return UTF8.decode(Uint8Array.from(run));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return "\ufffd".repeat(run.length);
  }
}
