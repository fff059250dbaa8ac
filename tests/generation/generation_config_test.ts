import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  CheckpointError,
  ContextLengthError,
  InputError,
  UnsupportedError,
} from "../../src/core/errors.ts";
import {
  type GenerationConfig,
  resolveGenerationConfig,
} from "../../src/generation/generation_config.ts";
import { nearestName } from "../../src/generation/option_checks.ts";
import { parseGenerationConfig } from "../../src/generation/parse_generation_config.ts";
import {
  resolveMaxLength,
  warnOfDefaultLength,
} from "../../src/generation/sequence_length.ts";

/** Whether an error is an InputError whose message names `part`. */
const inputError = (part: string) => (error: unknown) =>
  error instanceof InputError && error.message.includes(part);

// What a caller without types might pass.
const untyped = (options: Record<string, unknown>) =>
  options as GenerationConfig;

test("parseGenerationConfig() reads the reference checkpoint's file", () => {
  const path = new URL(
    "../reference/tiny/generation_config.json",
    import.meta.url,
  );
  const warnings: string[] = [];
  const config = parseGenerationConfig(
    JSON.parse(readFileSync(path, "utf8")),
    (warning) => warnings.push(warning),
  );
  assert.deepEqual(config, { doSample: false, eosTokenId: [1, 6] });
  assert.deepEqual(warnings, []);
});

test("parseGenerationConfig() turns names into ours and skips null", () => {
  const config = parseGenerationConfig({
    top_k: 64,
    top_p: 0.95,
    do_sample: true,
    max_new_tokens: null,
    bad_words_ids: [[1, 2]],
    cache_implementation: "hybrid",
    num_beams: 1,
  });
  assert.deepEqual(config, {
    topK: 64,
    topP: 0.95,
    doSample: true,
    badWordsIds: [[1, 2]],
  });
});

test("parseGenerationConfig() warns of what it cannot follow", () => {
  const warnings: string[] = [];
  parseGenerationConfig(
    { num_beams: 4, typical_p: 1 },
    (w) => warnings.push(w),
  );
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /num_beams/);
});

test("parseGenerationConfig() blames the file for bad values", () => {
  for (const json of [null, [], "x", { top_p: 2 }, { eos_token_id: "1" }]) {
    assert.throws(() => parseGenerationConfig(json), CheckpointError);
  }
});

test("resolveGenerationConfig() fills in Transformers' defaults", () => {
  const config = resolveGenerationConfig({});
  assert.equal(config.doSample, false);
  assert.equal(config.topK, 50);
  assert.equal(config.topP, 1);
  assert.equal(config.temperature, 1);
  assert.deepEqual(config.eosTokenId, []);
  assert.equal(config.maxNewTokens, undefined);
});

test("resolveGenerationConfig() lets the call win over the defaults, undefined excepted", () => {
  const defaults = { eosTokenId: [1, 106], topK: 64, doSample: true };
  const config = resolveGenerationConfig(
    { eosTokenId: 7, topK: undefined, doSample: false },
    defaults,
  );
  assert.deepEqual(config.eosTokenId, [7]);
  assert.equal(config.topK, 64);
  assert.equal(config.doSample, false);
});

test("resolveGenerationConfig() lets the call's maxLength win over the file's maxNewTokens", () => {
  const config = resolveGenerationConfig(
    { maxLength: 30 },
    { maxNewTokens: 5 },
  );
  assert.equal(resolveMaxLength(config, 10, 100), 30);
});

test("resolveGenerationConfig() names the nearest option for an unknown one", () => {
  const misspelt = [
    ["max_new_tokens", "maxNewTokens"],
    ["maxNewToken", "maxNewTokens"],
    ["top_k", "topK"],
    ["Temperature", "temperature"],
  ] as const;
  for (const [name, wanted] of misspelt) {
    assert.throws(
      () => resolveGenerationConfig(untyped({ [name]: 1 })),
      (error) =>
        inputError(`"${name}"`)(error) && inputError(`"${wanted}"`)(error),
    );
  }
  assert.equal(nearestName("minp", ["topP", "minP"]), "minP");
  assert.throws(
    () => resolveGenerationConfig(untyped({ toString: 1 })),
    InputError,
  );
});

test("resolveGenerationConfig() says that beam search is not supported", () => {
  assert.throws(
    () => resolveGenerationConfig(untyped({ numBeams: 2 })),
    UnsupportedError,
  );
});

test("resolveGenerationConfig() rejects values out of range", () => {
  const bad: Record<string, readonly unknown[]> = {
    maxNewTokens: [0, -1, 1.5, NaN, Infinity, "3"],
    maxLength: [0],
    minNewTokens: [-1],
    eosTokenId: [-1, [1, -1], "1", 0.5],
    stopStrings: ["", ["a", ""], 3],
    doSample: [1, "true"],
    seed: [-1, 1.5, 2 ** 53],
    temperature: [0, -1, NaN, Infinity, 1e-60],
    topK: [-1, 0.5],
    topP: [-0.1, 1.1, NaN],
    minP: [-0.1, 1.1],
    repetitionPenalty: [0, -1],
    presencePenalty: [NaN, "1"],
    frequencyPenalty: [Infinity],
    noRepeatNgramSize: [-1],
    logitBias: [{ x: 1 }, { 1: Infinity }, { 1: NaN }, 3],
    sequenceBias: [[[[], 1]], [[1, 1]], 3],
    badWordsIds: [[[]], [1], 3],
    suppressTokens: [[-1], 3],
    numReturnSequences: [0],
    outputLogits: [1],
    outputScores: [1],
    logprobs: [-1, true],
  };
  for (const [name, values] of Object.entries(bad)) {
    for (const value of values) {
      assert.throws(
        () => resolveGenerationConfig(untyped({ [name]: value })),
        inputError(`"${name}"`),
      );
    }
  }
});

test("resolveGenerationConfig() warns of sampling options without sampling, and wants sampling for several sequences", () => {
  const warnings: string[] = [];
  const warn = (warning: string) => warnings.push(warning);
  resolveGenerationConfig({ temperature: 0.7 }, { topP: 0.9 }, warn);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /temperature/);
  resolveGenerationConfig({ minNewTokens: 3, maxNewTokens: 2 }, {}, warn);
  assert.match(warnings[1]!, /minNewTokens/);
  assert.throws(
    () => resolveGenerationConfig({ numReturnSequences: 2 }),
    inputError("doSample"),
  );
});

test("resolveMaxLength() defaults to 20 new tokens, fewer where the context ends", () => {
  const config = resolveGenerationConfig({});
  assert.equal(resolveMaxLength(config, 10, 100), 30);
  assert.equal(resolveMaxLength(config, 10, 25), 25);
  const warnings: string[] = [];
  warnOfDefaultLength(config, (warning) => warnings.push(warning));
  assert.match(warnings[0]!, /maxNewTokens/);
  warnOfDefaultLength(
    resolveGenerationConfig({ maxLength: 3 }),
    (warning) => warnings.push(warning),
  );
  assert.equal(warnings.length, 1);
});

test("resolveMaxLength() rejects lengths that do not fit", () => {
  const asked = resolveGenerationConfig({ maxNewTokens: 20, maxLength: 5 });
  assert.equal(resolveMaxLength(asked, 10, 30), 30);
  assert.throws(
    () => resolveMaxLength(asked, 11, 30),
    (error) =>
      error instanceof ContextLengthError && error.requested === 31 &&
      error.available === 30,
  );
  const full = resolveGenerationConfig({});
  assert.throws(() => resolveMaxLength(full, 30, 30), ContextLengthError);
  const short = resolveGenerationConfig({ maxLength: 10 });
  assert.throws(() => resolveMaxLength(short, 10, 30), inputError("maxLength"));
});
