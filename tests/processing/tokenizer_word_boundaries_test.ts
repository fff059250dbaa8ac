import assert from "node:assert/strict";
import { test } from "node:test";
import { BPE } from "@huggingface/tokenizers";
import { WordBoundaries } from "../../src/processing/word_boundaries.ts";
import { referenceText } from "../golden.ts";

const FRAGMENTS = [
  ..."▁|▁▁|\n|\n\n|\t|the|▁def|return|self|한국|어▁에너지|😀|é|中文|。|，|<0x41>|1|.|(self):"
    .split("|"),
  "\n▁▁▁▁",
  "s",
  "a",
];

/** The same texts in every run. */
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
  assert.deepEqual(cut("a▁b▁▁c"), ["a", "▁b", "▁", "▁c"]);
  assert.deepEqual(cut("as▁b▁c"), ["as▁b", "▁c"]);
  assert.deepEqual(cut("a\n\n\nb"), ["a", "\n\n\nb"]);
  assert.deepEqual(cut("😀▁😀。x"), ["😀", "▁😀", "。x"]);
  assert.deepEqual(cut(""), []);
});

test("cutting changes no token", async () => {
  const { model } = JSON.parse(await referenceText("tiny/tokenizer.json"));
  // A second vocabulary has tokens that reach over the end of a word.
  const joining = structuredClone(model);
  let id = Object.keys(joining.vocab).length;
  for (const pair of ["s▁", "▁▁", "。\n"]) {
    joining.vocab[pair] = id++;
    joining.merges.unshift([pair[0], pair[1]]);
  }
  for (const config of [model, joining]) {
    const bpe = new BPE(config);
    const boundaries = new WordBoundaries(bpe.tokens_to_ids.keys());
    for (const text of randomTexts(300)) {
      const pieces = [...boundaries.split(text)];
      assert.equal(pieces.join(""), text);
      assert.deepEqual(
        pieces.flatMap((piece) => bpe.encode([piece])),
        bpe.encode([text]),
        JSON.stringify(text),
      );
    }
  }
});
