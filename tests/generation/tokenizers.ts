// Tokenizers for tests of decoding.
import { Tokenizer } from "@huggingface/tokenizers";
import { readFileSync } from "node:fs";
import type { IdDecoder } from "../../src/generation/text_decoder.ts";
import { GemmaTokenizer } from "../../src/processing/tokenizer.ts";

function tinyJson(name: string) {
  const url = new URL(`../reference/tiny/${name}`, import.meta.url);
  return JSON.parse(readFileSync(url, "utf8"));
}

/** The reference checkpoint's tokenizer, as the library has it. */
export function tinyTokenizer(): GemmaTokenizer {
  return new GemmaTokenizer(
    tinyJson("tokenizer.json"),
    tinyJson("tokenizer_config.json"),
  );
}

/** The same as `@huggingface/tokenizers` decodes: bytes leniently, ids without names. */
export function lenientTinyTokenizer(): IdDecoder {
  const tokenizer = new Tokenizer(tinyJson("tokenizer.json"), {
    clean_up_tokenization_spaces: false,
  });
  return {
    decode: (ids, { skipSpecialTokens = false } = {}) =>
      ids.length === 0 ? "" : tokenizer.decode(Array.from(ids), {
        skip_special_tokens: skipSpecialTokens,
      }),
  };
}

/** One token per entry; decoding joins them. */
export function wordTokenizer(words: readonly string[]): IdDecoder {
  return { decode: (ids) => Array.from(ids, (id) => words[id]!).join("") };
}
