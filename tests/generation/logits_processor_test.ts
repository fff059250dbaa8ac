import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { InputError } from "../../src/core/errors.ts";
import {
  type GenerationConfig,
  resolveGenerationConfig,
} from "../../src/generation/generation_config.ts";
import {
  createLogitsProcessors,
  type LogitsContext,
} from "../../src/generation/logits_processor.ts";
import { logisticRow, VOCAB_SIZE } from "./rows.ts";

interface ProcessorCase {
  option: GenerationConfig;
  inputIds: number[];
  logits: (number | null)[];
  expected: (number | null)[];
}

const row = (values: readonly (number | null)[]) =>
  Float32Array.from(values, (value) => value ?? -Infinity);

/** -0 as 0: adding a bias of nothing to every logit, as PyTorch does, turns one into the other. */
const withoutSignedZero = (logits: Float32Array) =>
  logits.map((logit) => logit + 0);

function process(
  option: GenerationConfig,
  logits: Float32Array,
  inputIds: readonly number[] = [],
  promptLength = inputIds.length,
): Float32Array {
  // Nothing but the option under test: topK has a default.
  const config = resolveGenerationConfig({
    doSample: true,
    topK: 0,
    ...option,
  });
  const context: LogitsContext = {
    inputIds: Int32Array.from(inputIds),
    promptLength,
  };
  const result = logits.slice();
  for (const run of createLogitsProcessors(config, logits.length)) {
    run(result, context);
  }
  return result;
}

const cases: ProcessorCase[] = readFileSync(
  new URL("./processor_cases.jsonl", import.meta.url),
  "utf8",
).trim().split("\n").map((line) => JSON.parse(line));

for (const [i, { option, inputIds, logits, expected }] of cases.entries()) {
  const name = Object.keys(option).join(", ");
  test(`${name} match Transformers in case ${i}: ${JSON.stringify(option)}`, () => {
    const actual = withoutSignedZero(process(option, row(logits), inputIds));
    const wanted = withoutSignedZero(row(expected));
    if (name === "topP") {
      // Which of equals stay is up to PyTorch's unstable sort; how many is not.
      actual.sort();
      wanted.sort();
    }
    assert.deepEqual(actual, wanted);
  });
}

/** The nucleus by sorting; of equals, higher ids come first. */
function bruteTopP(logits: Float32Array, p: number): Float32Array {
  const order = Array.from(logits.keys()).sort((a, b) =>
    logits[b]! - logits[a]! || b - a
  );
  const max = logits[order[0]!]!;
  const masses = order.map((id) => Math.exp(logits[id]! - max));
  const total = masses.reduce((sum, mass) => sum + mass, 0);
  const result = logits.slice();
  let before = 0;
  order.forEach((id, rank) => {
    if (rank > 0 && before >= p * total) result[id] = -Infinity;
    before += masses[rank]!;
  });
  return result;
}

function bruteTopK(logits: Float32Array, k: number): Float32Array {
  const sorted = logits.toSorted().toReversed();
  const threshold = sorted[Math.min(k, sorted.length) - 1]!;
  return logits.map((logit) => logit < threshold ? -Infinity : logit);
}

const kept = (logits: Float32Array) =>
  Array.from(logits.keys()).filter((id) => logits[id] !== -Infinity);

test("topK and topP match a full sort at many lengths", () => {
  for (const length of [1, 2, 3, 64, 257, 4099]) {
    for (const scale of [0, 0.01, 1, 30]) {
      const logits = logisticRow(length, length + scale, scale);
      for (const k of [1, 2, 64, 1000]) {
        assert.deepEqual(
          kept(process({ topK: k }, logits)),
          kept(bruteTopK(logits, k)),
        );
      }
      for (const p of [0.1, 0.5, 0.9, 0.999]) {
        // A border that falls between floats may fall on either side of one id.
        const actual = kept(process({ topP: p }, logits));
        const wanted = kept(bruteTopP(logits, p));
        assert.ok(Math.abs(actual.length - wanted.length) <= 1);
        const smaller = actual.length < wanted.length ? actual : wanted;
        const larger = new Set(smaller === actual ? wanted : actual);
        assert.ok(smaller.every((id) => larger.has(id)));
      }
    }
  }
});

test("topK keeps all equals of the k-th, signed zeros included", () => {
  const logits = Float32Array.of(0, -0, 1, -1, 0);
  assert.deepEqual(kept(process({ topK: 2 }, logits)), [0, 1, 2, 4]);
});

test("topP keeps the higher of equal ids at the border", () => {
  const logits = new Float32Array(8);
  assert.deepEqual(kept(process({ topP: 0.5 }, logits)), [4, 5, 6, 7]);
});

test("topP after topK sees the filtered distribution", () => {
  const logits = Float32Array.of(3, 2, 1, 0, -1);
  // Of the first two, the first alone holds 73 %.
  assert.deepEqual(kept(process({ topK: 2, topP: 0.7 }, logits)), [0]);
  assert.deepEqual(kept(process({ topP: 0.7 }, logits)), [0, 1]);
});

test("filters leave a row without any allowed id alone", () => {
  const logits = new Float32Array(5).fill(-Infinity);
  const option = { topK: 2, topP: 0.5, minP: 0.5 };
  assert.deepEqual(process(option, logits), logits);
});

test("temperature applies before minP", () => {
  const logits = Float32Array.of(2, 0);
  // e^-2 < 0.5, but e^(-2 / 4) > 0.5
  assert.deepEqual(kept(process({ minP: 0.5 }, logits)), [0]);
  assert.deepEqual(
    kept(process({ minP: 0.5, temperature: 4 }, logits)),
    [0, 1],
  );
});

test("presence and frequency penalties count new tokens only", () => {
  const option = { presencePenalty: 0.5, frequencyPenalty: 0.25 };
  const result = process(option, new Float32Array(4), [0, 0, 1, 1, 2], 2);
  assert.deepEqual(Array.from(result), [0, -1, -0.75, 0]);
});

test("penalties ignore prompt ids beyond the vocabulary", () => {
  const option = { repetitionPenalty: 2, noRepeatNgramSize: 1 };
  const result = process(option, Float32Array.of(4, 4), [0, 9]);
  assert.deepEqual(Array.from(result), [-Infinity, 4]);
});

test("minNewTokens forbids the end until there are enough", () => {
  const option = { minNewTokens: 2, eosTokenId: [1, 3] };
  const logits = new Float32Array(4);
  assert.deepEqual(kept(process(option, logits, [0, 0, 0], 2)), [0, 2]);
  assert.deepEqual(kept(process(option, logits, [0, 0, 0, 0], 2)), [
    0,
    1,
    2,
    3,
  ]);
});

test("badWordsIds never forbids an end-of-sequence token", () => {
  const option = { badWordsIds: [[1], [2]], eosTokenId: 1 };
  assert.deepEqual(kept(process(option, new Float32Array(4))), [0, 1, 3]);
});

test("logitBias adds to sequenceBias and rejects ids beyond the vocabulary", () => {
  const option = {
    logitBias: { 1: 2 },
    sequenceBias: [[[1], 0.5]] as [number[], number][],
  };
  assert.deepEqual(
    Array.from(process(option, new Float32Array(2))),
    [0, 2.5],
  );
  assert.throws(
    () => process({ logitBias: { 2: 1 } }, new Float32Array(2)),
    (error) => error instanceof InputError && /2/.test(error.message),
  );
});

test("createLogitsProcessors() runs the caller's before the temperature and only penalties when greedy", () => {
  const config = resolveGenerationConfig({ doSample: true, temperature: 0.5 });
  const logits = Float32Array.of(1, 2);
  const context = { inputIds: new Int32Array(1), promptLength: 1 };
  const own = (row: Float32Array) => row.fill(3);
  for (const run of createLogitsProcessors(config, 2, [own])) {
    run(logits, context);
  }
  assert.deepEqual(Array.from(logits), [6, 6]);

  const greedy = resolveGenerationConfig({ temperature: 0.5, topP: 0.1 });
  assert.deepEqual(createLogitsProcessors(greedy, 2), []);
});

test("filters of a full vocabulary take less than a step may", () => {
  const BUDGET_MS = 100; // loose: the machine may be busy
  const logits = logisticRow(VOCAB_SIZE, 1, 3);
  const option = { temperature: 0.8, topK: 0, topP: 0.95, minP: 0.001 };
  process(option, logits); // compiles
  const start = performance.now();
  process(option, logits);
  assert.ok(performance.now() - start < BUDGET_MS);
});
