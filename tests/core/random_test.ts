import assert from "node:assert/strict";
import { test } from "node:test";
import {
  gumbel,
  MAX_GUMBEL,
  MAX_SEED,
  philox4x32,
  randomSeed,
  uniformNoise,
  wordToUniform,
} from "../../src/core/random.ts";

// From the known-answer tests of the Random123 library.
const KNOWN_ANSWERS = [
  {
    counter: [0, 0, 0, 0],
    key: [0, 0],
    words: [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
  },
  {
    counter: [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    key: [0xffffffff, 0xffffffff],
    words: [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  },
  {
    counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    key: [0xa4093822, 0x299f31d0],
    words: [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  },
];

test("philox4x32() gives the published words", () => {
  for (const { counter, key, words } of KNOWN_ANSWERS) {
    const block = Uint32Array.from(counter);
    philox4x32(block, key[0]!, key[1]!);
    assert.deepEqual(Array.from(block), words);
  }
});

test("wordToUniform() stays inside (0, 1)", () => {
  assert.ok(wordToUniform(0) > 0);
  assert.ok(wordToUniform(0xffffffff) < 1);
  const largest = gumbel(wordToUniform(0xffffffff));
  assert.ok(largest <= MAX_GUMBEL && largest > MAX_GUMBEL - 0.01);
});

test("uniformNoise() does not depend on the order of the ids", () => {
  const key = { seed: 7, step: 3, stream: 0 };
  const ids = [0, 1, 2, 3, 4, 5, 1000, 262399];
  const forward = ids.map(uniformNoise(key));
  const backward = ids.toReversed().map(uniformNoise(key)).toReversed();
  assert.deepEqual(forward, backward);
  assert.equal(new Set(forward).size, ids.length);
});

test("uniformNoise() differs in every part of the key, the seed's high word included", () => {
  const keys = [
    { seed: 7, step: 3, stream: 0 },
    { seed: 8, step: 3, stream: 0 },
    { seed: 7 + 2 ** 32, step: 3, stream: 0 },
    { seed: 7, step: 4, stream: 0 },
    { seed: 7, step: 3, stream: 1 },
  ];
  const values = keys.map((key) => uniformNoise(key)(5));
  assert.equal(new Set(values).size, keys.length);
});

test("gumbel() has the mean and deviation of its distribution", () => {
  const COUNT = 100_000;
  const EULER_GAMMA = 0.5772156649;
  const DEVIATION = Math.PI / Math.sqrt(6);
  // Five standard errors of the mean; the fixed seed makes it a fixed number.
  const TOLERANCE = 5 * DEVIATION / Math.sqrt(COUNT);
  const noise = uniformNoise({ seed: 1, step: 0, stream: 0 });
  let sum = 0;
  let squares = 0;
  for (let id = 0; id < COUNT; id++) {
    const value = gumbel(noise(id));
    sum += value;
    squares += value * value;
  }
  const mean = sum / COUNT;
  assert.ok(Math.abs(mean - EULER_GAMMA) < TOLERANCE);
  const deviation = Math.sqrt(squares / COUNT - mean * mean);
  assert.ok(Math.abs(deviation - DEVIATION) < 2 * TOLERANCE);
});

test("randomSeed() gives seeds in range that differ", () => {
  const seeds = Array.from({ length: 20 }, randomSeed);
  assert.equal(new Set(seeds).size, seeds.length);
  for (const seed of seeds) {
    assert.ok(Number.isSafeInteger(seed) && seed >= 0 && seed <= MAX_SEED);
  }
});
