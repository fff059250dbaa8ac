// Tokens that the model chooses ahead give what tokens chosen singly give.
import assert from "node:assert/strict";
import { test } from "node:test";
import { DeviceError } from "../../src/core/errors.ts";
import {
  generate,
  type GenerateOptions,
  generateTokens,
} from "../../src/generation/generate.ts";
import { Pace } from "../../src/generation/pace.ts";
import { stillClock } from "../still_clock.ts";
import { logisticRow } from "./rows.ts";
import { countingTable, prompt, TableLm } from "./table_lm.ts";
import { wordTokenizer } from "./tokenizers.ts";

const V = 40;
const randomTable = Array.from({ length: V }, (_, id) => logisticRow(V, id, 1));
const tokenizer = wordTokenizer(
  Array.from({ length: V }, (_, id) => `<${id}>`),
);
const PROMPTS = [prompt(6), prompt(0), prompt(2, 5), prompt(3, 3, 3)];

/** Results and sequences, as released, with and without choosing ahead. */
async function bothWays(
  table: Float32Array[],
  options: GenerateOptions,
  undecided: readonly number[] = [],
) {
  using _ = stillClock();
  const run = async (lm: TableLm) => {
    const streamed: number[][] = [];
    const result = await generate(lm, PROMPTS, {
      seed: 1,
      ...options,
      streamer: {
        put: (ids, sequence) => void streamed.push([sequence, ...ids]),
        end: () => {},
      },
    });
    assert.equal(lm.open.size, 0);
    return { result, streamed, released: lm.released };
  };
  const ahead = new TableLm(table, { chooses: 8 });
  for (const id of undecided) ahead.undecided.add(id);
  return {
    singly: await run(new TableLm(table)),
    ahead: await run(ahead),
    counts: ahead.chosenCounts,
  };
}

test("generate() gives the same whether tokens come singly or ahead", async () => {
  for (
    const options of [
      { maxNewTokens: 30 },
      { maxNewTokens: 30, eosTokenId: [7, 11, 30] },
      { maxLength: 9 },
      { maxNewTokens: 20, stopStrings: "<9><1", tokenizer },
    ]
  ) {
    const { singly, ahead, counts } = await bothWays(countingTable(V), options);
    assert.deepEqual(ahead, singly);
    assert.ok(counts.some((count) => count > 1), `counts ${counts}`);
    const random = await bothWays(randomTable, options);
    assert.deepEqual(random.ahead, random.singly);
  }
});

test("generate() samples the same whether tokens come singly or ahead", async () => {
  for (
    const filters of [
      {},
      { temperature: 0.7, topK: 5 },
      { topP: 0.8, numReturnSequences: 3 },
    ]
  ) {
    const options = { maxNewTokens: 30, doSample: true, seed: 5, ...filters };
    const { singly, ahead, counts } = await bothWays(randomTable, options);
    assert.deepEqual(ahead, singly);
    assert.ok(counts.some((count) => count > 1), `counts ${counts}`);
    // Where the model cannot tell, at once or later, the host chooses.
    const some = Array.from({ length: V / 4 }, (_, i) => 4 * i);
    for (const undecided of [some, randomTable.map((_, id) => id)]) {
      const often = await bothWays(randomTable, options, undecided);
      assert.deepEqual(often.ahead, often.singly);
      assert.ok(often.counts.includes(0), `counts ${often.counts}`);
    }
  }
});

test("generate() asks for no more tokens than there may be", async () => {
  const { counts } = await bothWays(countingTable(V), { maxNewTokens: 12 });
  // One from the prefill, one to learn the pace.
  assert.deepEqual(counts, [1, 8, 2]);
});

test("generate() lets the host choose what the model cannot", async () => {
  for (
    const options of [
      { doSample: true, topK: 0 },
      { doSample: true, minP: 0.1 },
      { repetitionPenalty: 1.2 },
      { suppressTokens: [3] },
      { outputLogits: true },
      { outputScores: true },
      { logprobs: 2 },
      { minNewTokens: 3, eosTokenId: 5 },
      { logitsProcessors: [() => {}] },
    ]
  ) {
    const lm = new TableLm(randomTable, { chooses: 8 });
    await generate(lm, PROMPTS, { maxNewTokens: 5, ...options });
    assert.deepEqual(lm.chosenCounts, [], Object.keys(options).join());
  }
});

test("generate() throws for logits that are NaN once a sequence comes to them", async () => {
  using _ = stillClock();
  const table = countingTable(V);
  table[20]!.fill(NaN);
  const lm = new TableLm(table, { chooses: 8 });
  const options = { maxNewTokens: 30, eosTokenId: 19 };
  const { sequences } = await generate(lm, [prompt(12)], options);
  assert.equal(sequences[0]!.at(-1), 19);
  await assert.rejects(
    generate(lm, [prompt(12)], { maxNewTokens: 30, eosTokenId: [] }),
    DeviceError,
  );
  assert.equal(lm.open.size, 0);
});

test("generateTokens() that is left early leaves what tokens chosen singly leave", async () => {
  using _ = stillClock();
  for (let steps = 1; steps < 20; steps++) {
    const released: number[][][] = [];
    for (const chooses of [undefined, 8]) {
      const table = countingTable(V);
      const lm = new TableLm(table, chooses === undefined ? {} : { chooses });
      let left = steps;
      for await (const _ of generateTokens(lm, PROMPTS, { maxNewTokens: 25 })) {
        if (--left === 0) break;
      }
      released.push(lm.released);
    }
    assert.deepEqual(released[1], released[0], `${steps} steps`);
  }
});

test("generate() stops between tokens that came together", async () => {
  using _ = stillClock();
  const lm = new TableLm(countingTable(V), { chooses: 8 });
  const stop = new AbortController();
  const seen: number[] = [];
  const streamer = {
    put(ids: Int32Array) {
      seen.push(...ids);
      if (seen.includes(5)) stop.abort();
    },
    end() {},
  };
  const { signal } = stop;
  await assert.rejects(
    generate(lm, [prompt(0)], { maxNewTokens: 30, signal, streamer }),
    { name: "AbortError" },
  );
  assert.deepEqual(seen, [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(lm.released, [[0, 1, 2, 3, 4]]);
});

test("Pace asks for as many tokens as come in a moment", async () => {
  let now = 0;
  const pace = new Pace(() => now);
  assert.equal(pace.count(8), 1);
  const take = (count: number, ms: number) =>
    pace.time(() => {
      now += ms;
      return Promise.resolve([new Int32Array(count)]);
    });
  await take(1, 5);
  assert.equal(pace.count(8), 5);
  assert.equal(pace.count(3), 3);
  await take(4, 4);
  assert.equal(pace.count(8), 8);
  await take(8, 40);
  assert.equal(pace.count(8), 5);
});

test("Pace tries two tokens once, where a wait may be what takes long", async () => {
  for (
    const [wait, perToken, expected] of [
      [0, 30, [1, 2, 1, 1, 1]], // a slow GPU
      [100, 1, [1, 2, 8, 8, 8]], // one that is asked every 100 ms
      [60, 40, [1, 2, 1, 1, 1]],
      [0, 200, [1, 1, 1, 1, 1]],
    ] as const
  ) {
    let now = 0;
    const pace = new Pace(() => now);
    const counts: number[] = [];
    while (counts.length < expected.length) {
      const count = pace.count(8);
      counts.push(count);
      await pace.time(() => {
        now += wait + perToken * count;
        return Promise.resolve([new Int32Array(count)]);
      });
    }
    assert.deepEqual(counts, expected, `${wait} ms and ${perToken} ms a token`);
  }
});

test("Pace tries two tokens after kernels were compiled", async () => {
  let now = 0;
  const pace = new Pace(() => now);
  for (const [ms, next] of [[900, 1], [101, 2]] as const) {
    await pace.time(() => {
      now += ms;
      return Promise.resolve([new Int32Array(1)]);
    });
    assert.equal(pace.count(8), next);
  }
});
