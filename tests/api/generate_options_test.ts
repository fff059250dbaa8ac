// Options of generate() on the model, against a loop over forward() that
// computes everything anew for each token.
import assert from "node:assert/strict";
import { after, test } from "node:test";

import type { Gemma3nGenerateOptions } from "../../src/api/model_io.ts";
import { hostTensor } from "../../src/core/tensor.ts";
import { expectedIds, expectedInputs, loadTiny } from "../model.ts";
import { assertClose } from "../testing.ts";

/** Steps of one row against the whole sequence at once. */
const LOGITS_ATOL = 2e-3;
const NEW_TOKENS = 12;

const model = await loadTiny("wasm");
after(() => model.dispose());
const { inputIds } = await expectedInputs("text");
const PROMPT = [...inputIds.data];
const [GREEDY] = await expectedIds("text");

/** Changes logits, given prompt and new ids. */
type Process = (
  logits: Float32Array,
  prompt: number[],
  added: number[],
) => void;

async function lastLogits(ids: readonly number[]): Promise<Float32Array> {
  const output = await model.forward({
    inputIds: hostTensor("int32", [1, ids.length], Int32Array.from(ids)),
  }, { logitsToKeep: 1 });
  return output.logits.data;
}

async function slowly(process: Process): Promise<number[]> {
  const added: number[] = [];
  while (added.length < NEW_TOKENS) {
    const logits = await lastLogits([...PROMPT, ...added]);
    process(logits, PROMPT, added);
    added.push(logits.indexOf(Math.max(...logits)));
  }
  return added;
}

async function newIds(options: Partial<Gemma3nGenerateOptions>) {
  const { sequences } = await model.generate({
    inputIds,
    maxNewTokens: NEW_TOKENS,
    eosTokenId: [],
    ...options,
  });
  return [...sequences[0]!.subarray(PROMPT.length)];
}

const first = GREEDY![0]!;
const second = GREEDY![1]!;

const PROCESSED: Record<
  string,
  [Partial<Gemma3nGenerateOptions>, Process]
> = {
  repetitionPenalty: [{ repetitionPenalty: 1.7 }, (logits, prompt, added) => {
    for (const id of new Set([...prompt, ...added])) {
      logits[id]! *= logits[id]! < 0 ? 1.7 : 1 / 1.7;
    }
  }],
  presencePenalty: [{ presencePenalty: 9 }, (logits, _, added) => {
    for (const id of new Set(added)) logits[id]! -= 9;
  }],
  frequencyPenalty: [{ frequencyPenalty: 4 }, (logits, _, added) => {
    for (const id of added) logits[id]! -= 4;
  }],
  suppressTokens: [{ suppressTokens: [first, second] }, (logits) => {
    logits[first] = logits[second] = -Infinity;
  }],
  badWordsIds: [{ badWordsIds: [[first, second], [second]] }, (logits) => {
    logits[second] = -Infinity;
  }],
  logitBias: [{ logitBias: { 77: 100, [first]: -3 } }, (logits) => {
    logits[77]! += 100;
    logits[first]! -= 3;
  }],
  sequenceBias: [
    { sequenceBias: [[[first, 500], 90]] },
    (logits, prompt, added) => {
      if ([...prompt, ...added].at(-1) === first) logits[500]! += 90;
    },
  ],
  noRepeatNgramSize: [{ noRepeatNgramSize: 1 }, (logits, prompt, added) => {
    for (const id of [...prompt, ...added]) logits[id] = -Infinity;
  }],
  minNewTokens: [
    { eosTokenId: [second], minNewTokens: NEW_TOKENS },
    (logits) => {
      logits[second] = -Infinity;
    },
  ],
};

for (const [name, [options, process]] of Object.entries(PROCESSED)) {
  test(`${name} of generate() is as computed from forward()`, async () => {
    const ids = await newIds(options);
    assert.deepEqual(ids, await slowly(process));
    assert.notDeepEqual(ids, GREEDY!.slice(0, NEW_TOKENS));
  });
}

test("maxLength counts the prompt, maxNewTokens wins over it", async () => {
  const lengthOf = async (options: Partial<Gemma3nGenerateOptions>) =>
    (await newIds({ maxNewTokens: undefined, ...options })).length;
  assert.equal(await lengthOf({ maxLength: PROMPT.length + 5 }), 5);
  const warnings: string[] = [];
  const onWarning = (warning: string) => void warnings.push(warning);
  assert.equal(
    await lengthOf({ maxLength: 900, maxNewTokens: 3, onWarning }),
    3,
  );
  assert.deepEqual(warnings, [
    "`maxNewTokens` takes precedence over `maxLength`",
  ]);
  await assert.rejects(newIds({ maxNewTokens: undefined, maxLength: 3 }), {
    name: "InputError",
    message: /`maxLength` 3: the prompt has/,
  });
});

test("an end-of-sequence id ends it, and is in the sequence", async () => {
  const at = GREEDY!.indexOf(GREEDY![4]!);
  const { sequences, finishReasons } = await model.generate({
    inputIds,
    maxNewTokens: NEW_TOKENS,
    eosTokenId: [3, GREEDY![4]!],
  });
  assert.deepEqual(
    [...sequences[0]!.subarray(PROMPT.length)],
    GREEDY!.slice(0, at + 1),
  );
  assert.deepEqual(finishReasons, ["stop"]);
});

test("outputLogits, outputScores and logprobs of every step", async () => {
  const { sequences, logits, scores, logprobs } = await model.generate({
    inputIds,
    maxNewTokens: 5,
    eosTokenId: [],
    suppressTokens: [first],
    outputLogits: true,
    outputScores: true,
    logprobs: 3,
  });
  const added = [...sequences[0]!.subarray(PROMPT.length)];
  for (const [step, id] of added.entries()) {
    const expected = await lastLogits([...PROMPT, ...added.slice(0, step)]);
    const label = `step ${step}`;
    assertClose(logits![0]![step]!, expected, { atol: LOGITS_ATOL, label });
    assert.equal(scores![0]![step]![first], -Infinity);
    const max = Math.max(...expected);
    const total = expected.reduce((sum, x) => sum + Math.exp(x - max), 0);
    const logprob = (token: number) => expected[token]! - max - Math.log(total);
    const { chosen, top } = logprobs![0]![step]!;
    assert.equal(chosen.id, id);
    assertClose([chosen.logprob], [logprob(id)], { atol: LOGITS_ATOL, label });
    const best = [...expected.keys()].sort((a, b) =>
      expected[b]! - expected[a]!
    ).slice(0, 3);
    assert.deepEqual(top.map((one) => one.id), best);
  }
});

test("several sequences of a batch with pictures, each with a seed", async () => {
  const inputs = await expectedInputs("image");
  const options = {
    ...inputs,
    maxNewTokens: 4,
    doSample: true,
    numReturnSequences: 3,
    temperature: 2,
    topK: 200,
    topP: 0.95,
    minP: 0.001,
  };
  const { sequences, seeds } = await model.generate(options);
  assert.equal(sequences.length, 3);
  assert.equal(new Set(seeds).size, 1);
  const again = await model.generate({ ...options, seed: seeds[0]! });
  assert.deepEqual(again.sequences, sequences);
  const greedy = { ...inputs, maxNewTokens: 4, numReturnSequences: 3 };
  await assert.rejects(model.generate(greedy), {
    name: "InputError",
    message: /`doSample`/,
  });
});

test("an option that does not exist is refused, with the one that was meant", async () => {
  for (
    const [options, message] of [
      [{ maxNewToken: 3 }, /"maxNewToken".*maxNewTokens/],
      [{ temperature: 0, doSample: true }, /"temperature" 0/],
      [{ suppressTokens: ["a"] }, /"suppressTokens"/],
      [{ stopStrings: "x" }, /without a tokenizer/],
    ] as [Record<string, unknown>, RegExp][]
  ) {
    await assert.rejects(newIds(options), { name: "InputError", message });
  }
  await assert.rejects(newIds({ numBeams: 4 } as never), {
    name: "UnsupportedError",
    message: /"numBeams"/,
  });
});
