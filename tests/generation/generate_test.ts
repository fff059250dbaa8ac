import assert from "node:assert/strict";
import { test } from "node:test";
import { ContextLengthError, InputError } from "../../src/core/errors.ts";
import { generate, generateTokens } from "../../src/generation/generate.ts";
import type { Streamer } from "../../src/generation/streamer.ts";
import { TextIteratorStreamer } from "../../src/generation/text_iterator_streamer.ts";
import { logisticRow, VOCAB_SIZE } from "./rows.ts";
import { countingTable, prompt, TableLm } from "./table_lm.ts";
import { tinyTokenizer, wordTokenizer } from "./tokenizers.ts";

const randomTable = (size: number) =>
  Array.from({ length: size }, (_, id) => logisticRow(size, id, 1));
const lists = (sequences: Int32Array[]) => sequences.map((s) => Array.from(s));

test("generate() takes the likeliest token and stops at the length", async () => {
  const lm = new TableLm(countingTable(8));
  const result = await generate(lm, [prompt(0, 1)], { maxNewTokens: 3 });
  assert.deepEqual(lists(result.sequences), [[0, 1, 2, 3, 4]]);
  assert.deepEqual(result.finishReasons, ["length"]);
  assert.deepEqual(result.stopStrings, [undefined]);
  assert.equal(lm.open.size, 0);
  assert.deepEqual(lm.batchSizes, [1, 1, 1]);
});

test("generate() takes the first of equal tokens", async () => {
  const lm = new TableLm([Float32Array.of(1, 2, 2), Float32Array.of(0, 0, 0)]);
  const result = await generate(lm, [prompt(0)], { maxNewTokens: 2 });
  assert.deepEqual(lists(result.sequences), [[0, 1, 0]]);
});

test("generate() ends at any end-of-sequence id, the model's default included", async () => {
  const lm = new TableLm(countingTable(8));
  const generationConfig = { eosTokenId: [6, 3], maxNewTokens: 7 };
  const result = await generate(lm, [prompt(0)], { generationConfig });
  assert.deepEqual(lists(result.sequences), [[0, 1, 2, 3]]);
  assert.deepEqual(result.finishReasons, ["stop"]);
  const none = await generate(lm, [prompt(0)], {
    generationConfig,
    eosTokenId: [],
  });
  assert.deepEqual(none.finishReasons, ["length"]);
  // The last token allowed may be the end, too.
  const both = await generate(lm, [prompt(0)], {
    generationConfig,
    maxNewTokens: 3,
  });
  assert.deepEqual(both.finishReasons, ["stop"]);
});

test("generate() drops sequences from the batch as they finish, and each is as if alone", async () => {
  const options = { eosTokenId: 7, maxNewTokens: 4 };
  const prompts = [prompt(6), prompt(0), prompt(2, 5), prompt(3, 3, 3)];
  const lm = new TableLm(countingTable(8));
  const result = await generate(lm, prompts, options);
  assert.deepEqual(result.finishReasons, ["stop", "length", "stop", "stop"]);
  assert.deepEqual(lm.batchSizes, [4, 3, 2, 2]);
  for (const [i, one] of prompts.entries()) {
    const alone = await generate(new TableLm(countingTable(8)), [one], options);
    assert.deepEqual(alone.sequences[0], result.sequences[i]);
  }
  assert.equal(lm.open.size, 0);
});

test("generate() samples the same with the same seed, alone or in a batch, at once or continued", async () => {
  const table = randomTable(50);
  const options = { doSample: true, seed: 5, maxNewTokens: 12 };
  const run = (prompts: ReturnType<typeof prompt>[], more = {}) =>
    generate(new TableLm(table), prompts, { ...options, ...more });
  const [first] = (await run([prompt(1, 2)])).sequences;
  assert.deepEqual((await run([prompt(1, 2)])).sequences[0], first);
  assert.deepEqual((await run([prompt(9), prompt(1, 2)])).sequences[1], first);
  assert.notDeepEqual(
    (await run([prompt(1, 2)], { seed: 6 })).sequences[0],
    first,
  );

  const half = (await run([prompt(1, 2)], { maxNewTokens: 5 })).sequences[0]!;
  const rest = await run([prompt(...half)], { maxNewTokens: 7 });
  assert.deepEqual(rest.sequences[0], first);
});

test("generate() gives its seed back when it chose one", async () => {
  const table = randomTable(50);
  const options = { doSample: true, maxNewTokens: 12 };
  const prompts = [prompt(1), prompt(1)];
  const result = await generate(new TableLm(table), prompts, options);
  assert.notDeepEqual(result.sequences[0], result.sequences[1]);
  for (const [i, seed] of result.seeds.entries()) {
    const again = await generate(new TableLm(table), [prompt(1)], {
      ...options,
      seed,
    });
    assert.deepEqual(again.sequences[0], result.sequences[i]);
  }
});

test("generate() returns several different continuations, prompt by prompt", async () => {
  const options = { doSample: true, seed: 5, maxNewTokens: 12 };
  const lm = new TableLm(randomTable(50));
  const result = await generate(lm, [prompt(1), prompt(2)], {
    ...options,
    numReturnSequences: 3,
  });
  const texts = result.sequences.map(String);
  assert.equal(new Set(texts).size, 6);
  assert.deepEqual(result.sequences.map((s) => s[0]), [1, 1, 1, 2, 2, 2]);
  const alone = await generate(lm, [prompt(2)], options);
  assert.deepEqual(alone.sequences[0], result.sequences[3]);
});

test("generate() samples within filters, processors of the caller included", async () => {
  const lm = new TableLm(randomTable(50));
  const greedy = await generate(lm, [prompt(4)], { maxNewTokens: 8 });
  for (const filter of [{ topK: 1 }, { topP: 0 }, { minP: 1 }]) {
    const sampled = await generate(lm, [prompt(4)], {
      maxNewTokens: 8,
      doSample: true,
      ...filter,
    });
    assert.deepEqual(sampled.sequences, greedy.sequences);
  }
  const seen: number[][] = [];
  const own = await generate(lm, [prompt(4, 4)], {
    maxNewTokens: 2,
    logitsProcessors: [(logits, { inputIds, promptLength }) => {
      seen.push([inputIds.length, promptLength]);
      logits.fill(-Infinity);
      logits[inputIds.length] = 0;
    }],
  });
  assert.deepEqual(lists(own.sequences), [[4, 4, 2, 3]]);
  assert.deepEqual(seen, [[2, 2], [3, 2]]);
});

test("generate() finds stop strings across tokens and within one", async () => {
  const lm = new TableLm(countingTable(6));
  const tokenizer = wordTokenizer(["a", "b", "ST", "OPc", "d", "e"]);
  const run = (stopStrings: string | string[]) =>
    generate(lm, [prompt(0)], { maxNewTokens: 5, stopStrings, tokenizer });
  const across = await run("STOP");
  assert.deepEqual(lists(across.sequences), [[0, 1, 2, 3]]);
  assert.deepEqual(across.finishReasons, ["stop"]);
  assert.deepEqual(across.stopStrings, ["STOP"]);
  assert.equal((await run(["x", "OP"])).sequences[0]!.length, 4);
  assert.deepEqual((await run("T")).stopStrings, ["T"]);
  // Text of the prompt does not count, not even as a beginning.
  assert.deepEqual((await run("ab")).finishReasons, ["length"]);
  await assert.rejects(
    generate(lm, [prompt(0)], { stopStrings: "x" }),
    (error) => error instanceof InputError && /tokenizer/.test(error.message),
  );
});

test("generate() finds a stop string that ends with a byte token at once", async () => {
  const tokenizer = tinyTokenizer();
  const ids = Array.from(
    await tokenizer.encode("𓀀", { addSpecialTokens: false }),
  );
  assert.equal(ids.length, 4);
  const vocabSize = 2064;
  const lm = new TableLm(Array.from({ length: vocabSize }, (_, id) => {
    const row = new Float32Array(vocabSize);
    const at = ids.indexOf(id);
    row[ids[at + 1] ?? 100] = 1;
    return row;
  }));
  const result = await generate(lm, [prompt(100)], {
    maxNewTokens: 10,
    stopStrings: ["𓀀"],
    tokenizer,
  });
  assert.deepEqual(lists(result.sequences), [[100, ...ids]]);
  assert.deepEqual(result.finishReasons, ["stop"]);
});

test("generate() streams prompts, then tokens, and ends once", async () => {
  const calls: string[] = [];
  const streamer: Streamer = {
    begin: ({ stopStrings }) => calls.push(`begin ${stopStrings}`),
    put: (ids, index) => calls.push(`${index}: ${ids}`),
    end: (error) => calls.push(`end ${error}`),
  };
  await generate(new TableLm(countingTable(8)), [prompt(0, 1), prompt(6)], {
    eosTokenId: 7,
    maxNewTokens: 2,
    streamer,
  });
  assert.deepEqual(calls, [
    "begin ",
    "0: 0,1",
    "1: 6",
    "0: 2",
    "1: 7",
    "0: 3",
    "end undefined",
  ]);
});

test("generate() stops with the streamer's error", async () => {
  const lm = new TableLm(countingTable(8));
  const failure = new Error("pipe closed");
  const ends: unknown[] = [];
  const streamer: Streamer = {
    put(ids) {
      if (ids[0] === 2) throw failure;
    },
    end: (error) => ends.push(error),
  };
  await assert.rejects(
    generate(lm, [prompt(0)], { maxNewTokens: 5, streamer }),
    (error) => error === failure,
  );
  assert.deepEqual(ends, [failure]);
  assert.equal(lm.open.size, 0);
});

test("generate() rejects with the abort's reason before, between and during calls", async () => {
  const expectAbort = async (
    controller: AbortController,
    lm: TableLm,
    calls: number,
  ) => {
    const streamer = new TextIteratorStreamer(wordTokenizer([..."abcdefgh"]));
    const reading = (async () => {
      for await (const _ of streamer);
    })();
    const isAbort = { name: "AbortError" };
    await Promise.all([
      assert.rejects(
        generate(lm, [prompt(0)], {
          maxNewTokens: 6,
          signal: controller.signal,
          streamer,
        }),
        isAbort,
      ),
      assert.rejects(reading, isAbort),
    ]);
    assert.equal(lm.open.size, 0);
    assert.equal(lm.batchSizes.length, calls);
  };
  const before = new AbortController();
  before.abort();
  await expectAbort(before, new TableLm(countingTable(8)), 0);
  for (const at of [0, 1, 3]) {
    const during = new AbortController();
    const onCall = (step: number) => {
      if (step === at) during.abort();
    };
    await expectAbort(
      during,
      new TableLm(countingTable(8), { onCall }),
      at + 1,
    );
  }
});

test("generate() does not step after an abort by the streamer", async () => {
  const lm = new TableLm(countingTable(8));
  const controller = new AbortController();
  const streamer: Streamer = {
    put(ids) {
      if (ids[0] === 2) controller.abort();
    },
    end() {},
  };
  await assert.rejects(
    generate(lm, [prompt(0)], {
      maxNewTokens: 6,
      signal: controller.signal,
      streamer,
    }),
    { name: "AbortError" },
  );
  assert.deepEqual(lm.batchSizes, [1, 1]);
  assert.equal(lm.open.size, 0);
});

test("generate() passes an abort reason of the caller's on", async () => {
  const lm = new TableLm(countingTable(8));
  const controller = new AbortController();
  const reason = new Error("enough");
  await assert.rejects(
    generate(lm, [prompt(0)], {
      maxNewTokens: 6,
      signal: controller.signal,
      logitsProcessors: [() => controller.abort(reason)],
    }),
    (error) => error === reason,
  );
  assert.equal(lm.open.size, 0);
});

test("generate() ignores an abort after the last token", async () => {
  const controller = new AbortController();
  const result = await generate(new TableLm(countingTable(8)), [prompt(0)], {
    maxNewTokens: 1,
    signal: controller.signal,
    streamer: { put() {}, end: () => controller.abort() },
  });
  controller.abort();
  assert.deepEqual(lists(result.sequences), [[0, 1]]);
});

test("generate() keeps logits, scores and log-probabilities when asked", async () => {
  const NEAR = 1e-6;
  const lm = new TableLm(randomTable(20));
  const result = await generate(lm, [prompt(3)], {
    maxNewTokens: 3,
    outputLogits: true,
    outputScores: true,
    logprobs: 4,
    suppressTokens: [0],
  });
  const [ids] = result.sequences;
  for (let step = 0; step < 3; step++) {
    const logits = logisticRow(20, ids![step]!, 1);
    assert.deepEqual(result.logits![0]![step], logits);
    assert.equal(result.scores![0]![step]![0], -Infinity);
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
    const { chosen, top } = result.logprobs![0]![step]!;
    assert.equal(chosen.id, ids![step + 1]);
    const wanted = logits[chosen.id]! - Math.log(total);
    assert.ok(Math.abs(chosen.logprob - wanted) < NEAR);
    const order = Array.from(logits.keys()).sort((a, b) =>
      logits[b]! - logits[a]!
    );
    assert.deepEqual(top.map((one) => one.id), order.slice(0, 4));
  }
  const plain = await generate(lm, [prompt(3)], { maxNewTokens: 1 });
  assert.ok(!("logits" in plain || "scores" in plain || "logprobs" in plain));
});

test("generate() rejects prompts that are empty or too long, and warns of the default length", async () => {
  const lm = new TableLm(countingTable(8), { contextLength: 10 });
  await assert.rejects(generate(lm, []), InputError);
  await assert.rejects(generate(lm, [prompt(1), prompt()]), InputError);
  for (const option of [{ logitBias: { 8: 1 } }, { badWordsIds: [[1, 8]] }]) {
    await assert.rejects(generate(lm, [prompt(1)], option), InputError);
  }
  await assert.rejects(
    generate(lm, [prompt(1), prompt(1, 2)], { maxNewTokens: 9 }),
    ContextLengthError,
  );
  assert.deepEqual(lm.batchSizes, []);
  const warnings: string[] = [];
  const result = await generate(lm, [prompt(1), prompt(1, 2)], {
    onWarning: (warning) => warnings.push(warning),
  });
  assert.deepEqual(result.sequences.map((one) => one.length), [10, 10]);
  assert.equal(warnings.length, 1);
});

test("generateTokens() yields the tokens of each step and releases when left early", async () => {
  const lm = new TableLm(countingTable(8));
  const seen: string[] = [];
  const tokens = generateTokens(lm, [prompt(0), prompt(5)], {
    maxNewTokens: 6,
    eosTokenId: 7,
  });
  for await (const step of tokens) {
    seen.push(
      step.map((t) => `${t.sequenceIndex}:${t.id}${t.finishReason ?? ""}`)
        .join(" "),
    );
    if (seen.length === 3) break;
  }
  assert.deepEqual(seen, ["0:1 1:6", "0:2 1:7stop", "0:3"]);
  assert.equal(lm.open.size, 0);
});

test("generate() lets timers run while it chooses for a large batch", async () => {
  const BATCH = 12;
  const row = logisticRow(VOCAB_SIZE, 1, 3);
  const table = new Proxy([row], { get: () => row });
  const lm = new TableLm(table, { contextLength: 8 });
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const turnsSeen = new Set<number>();
  await generate(lm, Array.from({ length: BATCH }, () => prompt(1)), {
    maxNewTokens: 1,
    doSample: true,
    logitsProcessors: [() => {
      turnsSeen.add(turns);
      const start = performance.now();
      while (performance.now() - start < 20);
    }],
  });
  clearInterval(timer);
  assert.ok(turnsSeen.size > BATCH / 2, `${turnsSeen.size} of ${BATCH}`);
});
