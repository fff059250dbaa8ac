import assert from "node:assert/strict";
import { test } from "node:test";
import { Tokenizer } from "@huggingface/tokenizers";
import { GemmaTokenizer } from "../../src/processing/tokenizer.ts";
import { WordBoundaries } from "../../src/processing/word_boundaries.ts";
import { referenceText } from "../golden.ts";

const FRAGMENTS = [
  ..." |▁|\n|\n\n|\t|the| def|return|self|한국|어 에너지|😀|é|中文|。|，|<bos>|<0x41>|1|.|(self):"
    .split("|"),
  "<start_of_turn>",
  "<",
  "s",
  "a",
  "\n    ",
];

/** Small linear congruential generator: same texts in every run. */
function randomTexts(count: number): string[] {
  let state = 7;
  const next = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
  return Array.from({ length: count }, () =>
    Array.from(
      { length: 1 + next(30) },
      () => FRAGMENTS[next(FRAGMENTS.length)],
    ).join(""));
}

test("pieces join to the text and cut where no token reaches across", () => {
  const boundaries = new WordBoundaries(["a", "▁b", "s▁", "\n\n", "😀"]);
  const cut = (text: string) => [...boundaries.split(text)];
  assert.deepEqual(cut("a b  c"), ["a", " b", " ", " c"]);
  assert.deepEqual(cut("as b▁c"), ["as b", "▁c"]);
  assert.deepEqual(cut("a\n\n\nb"), ["a", "\n\n\nb"]);
  assert.deepEqual(cut("😀 😀。x"), ["😀", " 😀", "。x"]);
  assert.deepEqual(cut(""), []);
});

test("cutting changes no token", async () => {
  const json = JSON.parse(await referenceText("tiny/tokenizer.json"));
  const config = JSON.parse(await referenceText("tiny/tokenizer_config.json"));
  // A second vocabulary has tokens that reach over the end of a word.
  const joining = structuredClone(json);
  const merges = ["s▁", "▁▁", "。\n"].map((pair): [string, string] => [
    pair[0]!,
    pair[1]!,
  ]);
  for (const [left, right] of merges) {
    joining.model.vocab[left + right] = 3000 +
      Object.keys(joining.model.vocab).length;
    joining.model.merges.unshift([left, right]);
  }
  for (const file of [json, joining]) {
    const whole = new Tokenizer(file, {});
    const tokenizer = new GemmaTokenizer(file, config);
    for (const text of randomTexts(300)) {
      assert.deepEqual(
        [...await tokenizer.encode(text)],
        whole.encode(text).ids,
        JSON.stringify(text),
      );
    }
  }
});
