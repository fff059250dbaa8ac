import assert from "node:assert/strict";
import { test } from "node:test";
import { CheckpointError, InputError } from "../../src/core/errors.ts";
import { GemmaTokenizer } from "../../src/processing/tokenizer.ts";
import { expected, golden, referenceText } from "../golden.ts";

// 100 kB must leave the event loop free; generous for a busy machine.
const MAX_BLOCK_MS = 250;

const json = JSON.parse(await referenceText("tiny/tokenizer.json"));
const config = JSON.parse(await referenceText("tiny/tokenizer_config.json"));
const tokenizer = new GemmaTokenizer(json, config);

const byte = (value: number) =>
  tokenizer.tokenToId(
    `<0x${value.toString(16).toUpperCase().padStart(2, "0")}>`,
  )!;
const EURO = [0xe2, 0x82, 0xac].map(byte);
const BOM = [0xef, 0xbb, 0xbf].map(byte);

interface Sample {
  text: string;
  ids: number[];
  decoded: string;
}

test("encode() and decode() reproduce every sample of the reference", async () => {
  const samples = (await expected())["tokenizer"] as Sample[];
  assert.ok(samples.length >= 10);
  for (const { text, ids, decoded } of samples) {
    assert.deepEqual([...await tokenizer.encode(text)], ids, text);
    assert.equal(tokenizer.decode(ids, { skipSpecialTokens: true }), decoded);
  }
});

test("decode() reproduces the generated texts of the reference", async () => {
  const file = await golden();
  const cases = (await expected())["cases"] as {
    name: string;
    generated: string[];
  }[];
  for (const { name, generated } of cases) {
    const { data, shape } = file.int32(`${name}.generated_ids`);
    const length = shape.at(-1)!;
    generated.forEach((text, row) => {
      const ids = data.slice(row * length, (row + 1) * length);
      assert.equal(tokenizer.decode(ids, { skipSpecialTokens: true }), text);
    });
  }
});

// Ids and texts of this table come from Transformers 5.17.
const EDGE_CASES: [string, number[]][] = [
  ["\ufeffhi", [2, 248, 196, 200, 338, 339]],
  ["a\ufffdb", [2, 331, 248, 200, 198, 332]],
  ["<0x41>", [2, 294, 1817, 286, 283, 296]],
  ["\r\n\t", [2, 22, 266, 265]],
  ["\u0000", [2, 9]],
  ["e\u0301", [2, 335, 213, 138]],
  ["<bos><bos>x", [2, 2, 2, 354]],
  ["don't . ok ?", [2, 334, 1717, 1047, 563, 341, 477, 297]],
];

test("encode() and decode() agree with Transformers on unusual texts", async () => {
  for (const [text, ids] of EDGE_CASES) {
    assert.deepEqual([...await tokenizer.encode(text)], ids, text);
    assert.equal(tokenizer.decode(ids), `<bos>${text}`);
  }
});

test("encode() leaves special tokens away when told to", async () => {
  const ids = await tokenizer.encode("hi", { addSpecialTokens: false });
  assert.deepEqual([...ids], [338, 339]);
  assert.equal(
    (await tokenizer.encode("", { addSpecialTokens: false })).length,
    0,
  );
});

test("encode() refuses lone surrogates and what is no text", async () => {
  for (
    const [text, message] of [
      ["a\ud83db", /character 1 is the lone surrogate U\+D83D/],
      ["\ufffd😀\ude00", /character 3 is the lone surrogate U\+DE00/],
      [7, /it is number, wanted a string/],
      [null, /it is null/],
    ] as const
  ) {
    await assert.rejects(tokenizer.encode(text as string), {
      name: "InputError",
      message,
    });
  }
  assert.deepEqual(
    [...await tokenizer.encode("\ud83d\ude00")],
    [...await tokenizer.encode("😀")],
  );
});

test("decode() turns every byte of a broken run into U+FFFD", () => {
  assert.equal(tokenizer.decode(EURO), "€");
  assert.equal(tokenizer.decode(EURO.slice(0, 2)), "\ufffd\ufffd");
  assert.equal(tokenizer.decode([...EURO, EURO[0]!]), "\ufffd".repeat(4));
  assert.equal(tokenizer.decode([...EURO.slice(0, 2), 331]), "\ufffd\ufffda");
});

test("decode() joins bytes across skipped special tokens only", () => {
  const ids = [EURO[0]!, 2, EURO[1]!, EURO[2]!];
  assert.equal(tokenizer.decode(ids), "\ufffd<bos>\ufffd\ufffd");
  assert.equal(tokenizer.decode(ids, { skipSpecialTokens: true }), "€");
});

test("decode() keeps byte order marks and leaves unknown ids out", () => {
  assert.equal(tokenizer.decode([...BOM, byte(0x41)]), "\ufeffA");
  assert.equal(tokenizer.decode([5000, 2]), "<bos>");
  assert.equal(tokenizer.decode([]), "");
});

test("decode() refuses ids that are not non-negative integers", () => {
  for (const id of [-1, 1.5, NaN]) {
    assert.throws(() => tokenizer.decode([id]), InputError);
  }
});

test("encode() of 100 kB leaves the event loop free", async () => {
  const paragraph =
    "The quick brown fox jumps over the lazy dog.\n식물은 특정 과정을 통해 return self ";
  const text = paragraph.repeat(Math.ceil(100_000 / paragraph.length));
  let last = performance.now();
  let longest = 0;
  let turns = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    turns++;
  }, 1);
  const ids = await tokenizer.encode(text);
  clearInterval(timer);
  assert.equal(tokenizer.decode(ids, { skipSpecialTokens: true }), text);
  assert.ok(turns > 0, "no turn of the event loop");
  assert.ok(longest < MAX_BLOCK_MS, `blocked for ${longest} ms`);
});

test("encode() of a text without cuts takes less than quadratic time", async () => {
  const time = async (length: number) => {
    const start = performance.now();
    const ids = await tokenizer.encode("a".repeat(length));
    assert.equal(ids.length, length + 1);
    return performance.now() - start;
  };
  await time(20_000); // warm up
  const small = await time(20_000);
  const large = await time(320_000);
  // 16 times the length: about 20 times the time, quadratic were 256.
  assert.ok(large < 100 * Math.max(small, 1), `${small} ms, ${large} ms`);
});

test("the tokenizer knows its special tokens", () => {
  assert.equal(tokenizer.bosTokenId, 2);
  assert.equal(tokenizer.eosTokenId, 1);
  assert.equal(tokenizer.padTokenId, 0);
  assert.equal(tokenizer.paddingSide, "left");
  assert.equal(tokenizer.specialTokens["image_token"], "<image_soft_token>");
  assert.equal(tokenizer.tokenToId("no such token"), undefined);
  assert.equal(tokenizer.idToToken(5), "<start_of_turn>");
});

test("special tokens may be objects or named extra tokens", () => {
  const { image_token, ...rest } = config;
  const made = new GemmaTokenizer(json, {
    ...rest,
    bos_token: { content: "<bos>", special: true },
    extra_special_tokens: { image_token },
  });
  assert.equal(made.bosTokenId, 2);
  assert.equal(made.specialTokens["image_token"], image_token);
});

test("tokenizer.json alone decides on <bos>, as in Transformers", async () => {
  const made = new GemmaTokenizer(json, { ...config, add_bos_token: false });
  assert.deepEqual([...await made.encode("hi")], [2, 338, 339]);
  const post_processor = {
    type: "TemplateProcessing",
    single: [
      { Sequence: { id: "A", type_id: 0 } },
      { SpecialToken: { id: "<eos>", type_id: 0 } },
    ],
  };
  const ending = new GemmaTokenizer({ ...json, post_processor }, config);
  assert.deepEqual([...await ending.encode("hi")], [338, 339, 1]);
});

test("files that are not a Gemma tokenizer are refused", () => {
  const model = { ...json.model, type: "Unigram" };
  const bad: [unknown, unknown][] = [
    [null, config],
    [[], config],
    [{}, config],
    [{ ...json, model }, config],
    [{ ...json, model: { ...json.model, merges: 3 } }, config],
    [{ ...json, decoder: { type: "ByteLevel" } }, config],
    [{ ...json, added_tokens: [{ id: 1 }] }, config],
    [{ ...json, added_tokens: {} }, config],
    [{ ...json, pre_tokenizer: { type: "Nonsense" } }, config],
    [{ ...json, normalizer: { type: "NFC" } }, config],
    [{ ...json, post_processor: { type: "ByteLevel" } }, config],
    [{ ...json, model: { ...json.model, byte_fallback: false } }, config],
    [json, "config"],
    [json, { ...config, pad_token: undefined }],
    [json, { ...config, padding_side: "top" }],
  ];
  for (const [tokenizerJson, tokenizerConfig] of bad) {
    assert.throws(
      () => new GemmaTokenizer(tokenizerJson, tokenizerConfig),
      CheckpointError,
    );
  }
});
