// Mel features in slices, and options that do not fit.
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  logMel,
  melFrameCount,
  type MelOptions,
} from "../../src/codecs/log_mel.ts";
import { InputError } from "../../src/core/errors.ts";
import { randomTensor } from "../testing.ts";

const OPTIONS: MelOptions = {
  samplingRate: 16000,
  frameLength: 512,
  hopLength: 160,
  fftLength: 1024,
  featureSize: 128,
  minFrequency: 125,
  maxFrequency: 7600,
  preemphasis: 0.97,
  preemphasisHtkFlavor: true,
  inputScaleFactor: 1,
  melFloor: 1e-5,
};

test("melFrameCount() needs one sample more than a frame", () => {
  const counts = [0, 512, 513, 672, 673, 480000]
    .map((samples) => melFrameCount(samples, OPTIONS));
  assert.deepEqual(counts, [0, 0, 1, 1, 2, 2997]);
});

test("logMel() gives the same frames however it is sliced", async () => {
  const frames = 150;
  const samples = randomTensor([frames * 160 + 353], { seed: 1 }).data;
  const all = await logMel(samples, OPTIONS);
  assert.equal(all.length, frames * 128);
  for (const frame of [0, 63, 64, 149]) {
    const part = samples.subarray(frame * 160, frame * 160 + 513);
    const alone = await logMel(part, OPTIONS);
    assert.deepEqual(alone, all.subarray(frame * 128, (frame + 1) * 128));
  }
});

test("logMel() scales its input and has other pre-emphases", async () => {
  const samples = randomTensor([513], { seed: 2 }).data;
  const doubled = await logMel(samples, { ...OPTIONS, inputScaleFactor: 2 });
  const expected = await logMel(samples.map((x) => x * 2), OPTIONS);
  assert.deepEqual(doubled, expected);
  // Without HTK's flavour a frame is the difference of neighbours, so a
  // constant becomes the constant times 1 - 0.97; without pre-emphasis it stays.
  const flat = new Float32Array(513).fill(1);
  const plain = await logMel(flat.map((x) => x * 0.03), {
    ...OPTIONS,
    preemphasis: 0,
  });
  const neighbours = await logMel(flat, {
    ...OPTIONS,
    preemphasisHtkFlavor: false,
  });
  for (const [i, value] of plain.entries()) {
    assert.ok(Math.abs(value - neighbours[i]!) < 0.01, `bin ${i}`);
  }
});

test("logMel() refuses options that do not fit together", async () => {
  const samples = new Float32Array(600);
  for (
    const changes of [
      { fftLength: 1000 },
      { fftLength: 256 },
      { hopLength: 0 },
      { frameLength: 0 },
    ]
  ) {
    await assert.rejects(
      logMel(samples, { ...OPTIONS, ...changes }),
      InputError,
    );
  }
});
