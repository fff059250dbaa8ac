import assert from "node:assert/strict";
import { test } from "node:test";
import { CheckpointError } from "../../src/core/errors.ts";
import { AddedTokenSplitter } from "../../src/processing/added_tokens.ts";
import { GemmaTokenizer } from "../../src/processing/tokenizer.ts";
import { referenceText } from "../golden.ts";

const json = JSON.parse(await referenceText("tiny/tokenizer.json"));
const config = JSON.parse(await referenceText("tiny/tokenizer_config.json"));
const FIRST_NEW_ID = 2064;

/** The tiny tokenizer with further added tokens, from {@link FIRST_NEW_ID} on. */
function withAddedTokens(contents: string[], flags: object = {}): unknown {
  const added = contents.map((content, i) => ({
    ...json.added_tokens[0],
    ...flags,
    id: FIRST_NEW_ID + i,
    content,
    special: false,
  }));
  return { ...json, added_tokens: [...json.added_tokens, ...added] };
}

test("the splitter takes the leftmost, then the longest token", () => {
  const splitter = new AddedTokenSplitter([
    ["ab", 1],
    ["abcd", 2],
    ["bc", 3],
    ["😀", 4],
    ["", 5],
  ]);
  const split = (text: string) => [...splitter.split(text)];
  assert.deepEqual(split("xabcy"), ["x", 1, "cy"]);
  assert.deepEqual(split("abcdabc"), [2, 1, "c"]);
  assert.deepEqual(split("bcbc"), [3, 3]);
  assert.deepEqual(split("😀\ude00😀a"), [4, "\ude00", 4, "a"]);
  assert.deepEqual(split("abab"), [1, 1]);
  assert.deepEqual(split("a"), ["a"]);
  assert.deepEqual(split(""), []);
});

test("added tokens with ▁ match ▁ in the text, not spaces", async () => {
  const tokenizer = new GemmaTokenizer(
    withAddedTokens(["▁▁", "\n\n\n", "a  s"]),
    config,
  );
  const encode = async (text: string) => [
    ...await tokenizer.encode(text, { addSpecialTokens: false }),
  ];
  const space = tokenizer.tokenToId("▁")!;
  assert.deepEqual(await encode("▁▁"), [FIRST_NEW_ID]);
  assert.deepEqual(await encode("  "), [space, space]);
  assert.deepEqual(await encode("\n\n\n"), [FIRST_NEW_ID + 1]);
  assert.deepEqual(await encode("a  s"), [FIRST_NEW_ID + 2]);
  assert.equal(tokenizer.decode([FIRST_NEW_ID, FIRST_NEW_ID + 2]), "  a  s");
  assert.equal(tokenizer.tokenToId("a  s"), FIRST_NEW_ID + 2);
});

test("normalized added tokens match after spaces have become ▁", async () => {
  const tokenizer = new GemmaTokenizer(
    withAddedTokens(["a  s"], { normalized: true }),
    config,
  );
  for (const text of ["a  s", "a▁▁s", "a ▁s"]) {
    assert.deepEqual([...await tokenizer.encode(text)], [2, FIRST_NEW_ID]);
  }
});

test("added tokens that swallow spaces around them are refused", () => {
  for (const flag of ["lstrip", "rstrip", "single_word"]) {
    assert.throws(
      () =>
        new GemmaTokenizer(withAddedTokens(["x"], { [flag]: true }), config),
      CheckpointError,
    );
  }
});
