import assert from "node:assert/strict";
import { test } from "node:test";
import { InputError } from "../../src/core/errors.ts";
import { TextIteratorStreamer } from "../../src/generation/text_iterator_streamer.ts";
import {
  TextStreamer,
  type TextStreamerOptions,
} from "../../src/generation/streamer.ts";
import {
  type IdDecoder,
  IncrementalDecoder,
} from "../../src/generation/text_decoder.ts";
import { golden } from "../golden.ts";
import { randomInts } from "../io/files.ts";
import {
  lenientTinyTokenizer,
  tinyTokenizer,
  wordTokenizer,
} from "./tokenizers.ts";

const tokenizer = tinyTokenizer();
const TINY_VOCABULARY = 2064;

/** Pieces of text for a prompt and new ids that come one by one. */
function stream(
  decoder: IdDecoder,
  prompt: readonly number[],
  ids: ArrayLike<number>,
  options: Omit<TextStreamerOptions, "onText"> & { stopStrings?: string[] } =
    {},
): string[] {
  const pieces: string[] = [];
  const streamer = new TextStreamer(decoder, {
    ...options,
    onText: (text) => pieces.push(text),
  });
  streamer.begin({ stopStrings: options.stopStrings ?? [] });
  streamer.put(Int32Array.from(prompt), 0);
  for (const id of Array.from(ids)) streamer.put(Int32Array.of(id), 0);
  streamer.end();
  return pieces;
}

for (
  const [name, decoder] of [
    ["our tokenizer", tokenizer],
    ["a lenient tokenizer", lenientTinyTokenizer()],
  ] as const
) {
  test(`TextStreamer's pieces join to the full text of every reference case, with ${name}`, async () => {
    const file = await golden();
    const names = file.names.filter((tensor) => tensor.endsWith("_ids"));
    assert.ok(names.length >= 24);
    for (const tensor of names) {
      const { data, shape } = file.int32(tensor);
      const width = shape[1]!;
      for (let row = 0; row < shape[0]!; row++) {
        const ids = data.subarray(row * width, (row + 1) * width);
        for (const skipSpecialTokens of [false, true]) {
          const pieces = stream(decoder, [], ids, { skipSpecialTokens });
          const text = decoder.decode(ids, { skipSpecialTokens });
          assert.equal(pieces.join(""), text);
        }
      }
    }
  });
}

test("TextStreamer's pieces join to the full text of random ids", () => {
  const random = randomInts(3);
  for (let round = 0; round < 60; round++) {
    // Every other round is mostly bytes: runs of them, broken and whole.
    const limit = round % 2 ? TINY_VOCABULARY : 520;
    const ids = Array.from({ length: 40 }, () => random(limit));
    const cut = random(40);
    for (const skipSpecialTokens of [false, true]) {
      const pieces = stream(tokenizer, ids.slice(0, cut), ids.slice(cut), {
        skipSpecialTokens,
      });
      const text = tokenizer.decode(ids, { skipSpecialTokens });
      assert.equal(pieces.join(""), text);
    }
  }
});

test("TextStreamer never emits a part of a character", async () => {
  const text = "emoji 😀 and 한국어, 中文 𓀀!";
  const ids = await tokenizer.encode(text, { addSpecialTokens: false });
  const pieces = stream(tokenizer, [], ids);
  assert.equal(pieces.join(""), text);
  assert.ok(pieces.length > 8);
  for (const piece of pieces) {
    assert.ok(piece.isWellFormed() && !piece.includes("\ufffd"), piece);
  }
});

test("TextStreamer emits ordinary text at once", () => {
  const words = wordTokenizer(["Hel", "lo", " wor", "ld"]);
  const pieces: string[] = [];
  const streamer = new TextStreamer(words, {
    onText: (text) => pieces.push(text),
  });
  for (const id of [0, 1, 2, 3]) {
    streamer.put(Int32Array.of(id), 0);
    assert.equal(pieces.length, id + 1);
  }
});

test("TextStreamer emits bytes that never become a character at the end", () => {
  const byte = tokenizer.tokenToId("<0xE2>")!;
  assert.deepEqual(stream(tokenizer, [], [byte]), ["\ufffd"]);
});

test("TextStreamer skips the prompt, and is ready for the next after end()", () => {
  const pieces: string[] = [];
  const streamer = new TextStreamer(wordTokenizer(["a", "b", "c"]), {
    skipPrompt: true,
    onText: (text) => pieces.push(text),
  });
  for (let round = 0; round < 2; round++) {
    streamer.begin({ stopStrings: round === 0 ? ["c"] : [] });
    streamer.put(Int32Array.of(0, 1), 0);
    streamer.put(Int32Array.of(1), 0);
    streamer.put(Int32Array.of(2), 0);
    streamer.end();
  }
  assert.deepEqual(pieces, ["b", "b", "c"]);
});

test("TextStreamer cuts at a stop string across and within tokens, but not in the prompt", () => {
  const words = wordTokenizer(["x", "EN", "D", "aENDb", "END"]);
  const stopStrings = ["END"];
  const text = (prompt: number[], ids: number[]) =>
    stream(words, prompt, ids, { stopStrings }).join("");
  assert.equal(text([0], [0, 1, 2, 0]), "xx");
  assert.equal(text([0], [3, 0]), "xa");
  assert.equal(text([4], [0, 1]), "ENDxEN");
  assert.equal(text([1], [2]), "END");
});

test("TextStreamer rejects a second sequence", () => {
  const streamer = new TextStreamer(wordTokenizer(["a"]), { onText() {} });
  streamer.put(Int32Array.of(0), 0);
  assert.throws(() => streamer.put(Int32Array.of(0), 1), InputError);
});

test("IncrementalDecoder keeps spaces where a decoder strips the first token's", () => {
  const stripping: IdDecoder = {
    decode: (ids) =>
      Array.from(ids, (id) => [" a", " b"][id]!).join("").slice(1),
  };
  const decoder = new IncrementalDecoder(stripping);
  assert.equal(decoder.push(0) + decoder.push(1) + decoder.push(0), "a b a");
});

test("IncrementalDecoder decodes a bounded number of ids at a time", () => {
  let longest = 0;
  const counting: IdDecoder = {
    decode: (ids) => {
      longest = Math.max(longest, ids.length);
      return "x".repeat(ids.length);
    },
  };
  const decoder = new IncrementalDecoder(counting);
  for (let i = 0; i < 100; i++) decoder.push(i);
  assert.equal(longest, 2);
});

test("TextIteratorStreamer yields text while it comes, then ends", async () => {
  const streamer = new TextIteratorStreamer(wordTokenizer(["a", "b"]), {
    skipPrompt: true,
  });
  const seen: string[] = [];
  const reading = (async () => {
    for await (const text of streamer) seen.push(text);
  })();
  streamer.put(Int32Array.of(0), 0);
  for (const id of [1, 0, 1]) {
    streamer.put(Int32Array.of(id), 0);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.deepEqual(seen, ["b", "a", "b"]);
  streamer.end();
  await reading;
});

test("TextIteratorStreamer throws the generation's error after the text until then", async () => {
  const streamer = new TextIteratorStreamer(wordTokenizer(["a"]));
  streamer.put(Int32Array.of(0), 0);
  const failure = new Error("gone");
  streamer.end(failure);
  const seen: string[] = [];
  await assert.rejects(async () => {
    for await (const text of streamer) seen.push(text);
  }, (error) => error === failure);
  assert.deepEqual(seen, ["a"]);
});
