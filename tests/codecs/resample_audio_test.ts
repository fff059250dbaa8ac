// Resampling against SoX on speech, and on sweeps.
import assert from "node:assert/strict";
import { test } from "node:test";

import { decodeAudio } from "../../src/codecs/decode_audio.ts";
import { resampleAudio } from "../../src/codecs/resample_audio.ts";
import { InputError } from "../../src/core/errors.ts";
import { referenceBytes } from "../golden.ts";

const MIN_SIGNAL_TO_DIFFERENCE_DB = 55;
const MAX_ALIAS_DB = -80;

function power(data: Float32Array): number {
  let sum = 0;
  for (const x of data) sum += x * x;
  return sum;
}

function decibels(ratio: number): number {
  return 10 * Math.log10(ratio);
}

test("resampleAudio() is close to SoX on speech", async () => {
  const source = await decodeAudio(
    await referenceBytes("media/speech-44k-stereo.wav"),
  );
  const expected = await decodeAudio(
    await referenceBytes("media/speech-44k-stereo.16k-mono-f32.wav"),
  );
  const rates = { from: source.samplingRate, to: 16000 };
  const actual = await resampleAudio(source.data, rates);
  assert.ok(Math.abs(actual.length - expected.data.length) <= 1);
  const length = Math.min(actual.length, expected.data.length);
  const difference = actual.slice(0, length)
    .map((x, i) => x - expected.data[i]!);
  const ratio = decibels(power(expected.data) / power(difference));
  assert.ok(ratio >= MIN_SIGNAL_TO_DIFFERENCE_DB, `${ratio.toFixed(1)} dB`);
});

/** A linear sweep between two frequencies, one second. */
function sweep(first: number, last: number, rate: number): Float32Array {
  return Float32Array.from({ length: rate }, (_, i) => {
    const t = i / rate;
    const phase = 2 * Math.PI * (first * t + (last - first) * t * t / 2);
    // Fades in and out, so that only the sweep itself is measured.
    return Math.sin(phase) * Math.sin(Math.PI * t) ** 2;
  });
}

test("resampleAudio() lets nothing above the new Nyquist frequency through", async () => {
  for (const from of [22050, 44100, 48000, 44099]) {
    const source = sweep(8050, from / 2, from);
    const out = await resampleAudio(source, { from, to: 16000 });
    const level = decibels(power(out) / out.length / (power(source) / from));
    assert.ok(level < MAX_ALIAS_DB, `${from}: ${level.toFixed(1)} dB`);
  }
});

test("resampleAudio() keeps what both rates can hold", async () => {
  for (const [from, to] of [[8000, 16000], [44100, 16000], [16000, 48000]]) {
    const high = Math.min(from!, to!) / 2 * 0.9;
    const source = sweep(50, high, from!);
    const expected = sweep(50, high, to!);
    const out = await resampleAudio(source, { from: from!, to: to! });
    assert.equal(out.length, to);
    const difference = out.map((x, i) => x - expected[i]!);
    const level = decibels(power(difference) / power(expected));
    assert.ok(level < MAX_ALIAS_DB, `${from} to ${to}: ${level.toFixed(1)} dB`);
  }
});

test("resampleAudio() refuses rates that cannot be", async () => {
  const samples = new Float32Array(10);
  for (
    const rates of [
      { from: 0, to: 16000 },
      { from: 16000, to: 0 },
      { from: 1, to: 16000 },
      { from: NaN, to: 16000 },
    ]
  ) {
    await assert.rejects(resampleAudio(samples, rates), InputError);
  }
  assert.equal(
    (await resampleAudio(samples, { from: 16000, to: 8000 })).length,
    5,
  );
});
