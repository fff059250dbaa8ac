// Truncated and bit-flipped files: always an InputError (or, where the damage
// is not seen, a result), never a hang, a trap or codecs that stay broken.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { decodeAudio } from "../../src/codecs/decode_audio.ts";
import { decodeImage } from "../../src/codecs/decode_image.ts";
import { InputError, UnsupportedError } from "../../src/core/errors.ts";
import { referenceBytes } from "../golden.ts";

const MUTATIONS = 150;
const MAX_MS_EACH = 2000;

const PICTURES = [
  "rgb.png",
  "palette-alpha.png",
  "grey16.png",
  "baseline.jpg",
  "progressive.jpg",
  "cmyk.jpg",
  "rotated-exif6.jpg",
];

async function picture(name: string): Promise<Uint8Array> {
  const url = new URL(`images/${name}`, import.meta.url);
  return new Uint8Array(await readFile(url));
}

/** Numbers in 0..1, the same on every run. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function flipBits(bytes: Uint8Array, next: () => number): Uint8Array {
  const damaged = bytes.slice();
  const count = 1 + Math.floor(next() * 8);
  // Most formats keep what matters at the start.
  const range = next() < 0.5 ? Math.min(700, bytes.length) : bytes.length;
  for (let i = 0; i < count; i++) {
    const at = Math.floor(next() * range);
    damaged[at] = damaged[at]! ^ (1 << Math.floor(next() * 8));
  }
  return damaged;
}

async function survives(
  decode: () => Promise<unknown>,
  label: string,
): Promise<boolean> {
  const started = performance.now();
  let decoded = true;
  await decode().catch((error) => {
    decoded = false;
    assert.ok(
      error instanceof InputError || error instanceof UnsupportedError,
      `${label}: ${error}`,
    );
  });
  const ms = performance.now() - started;
  assert.ok(ms < MAX_MS_EACH, `${label}: took ${ms} ms`);
  return decoded;
}

for (const name of PICTURES) {
  test(`decodeImage() survives a damaged ${name}`, async () => {
    const bytes = await picture(name);
    const whole = await decodeImage(bytes);
    const next = random(bytes.length);
    for (let i = 0; i < MUTATIONS; i++) {
      const damaged = flipBits(bytes, next);
      await survives(() => decodeImage(damaged), `${name}, mutation ${i}`);
    }
    assert.deepEqual((await decodeImage(bytes)).data, whole.data);
  });

  test(`decodeImage() refuses a truncated ${name}`, async () => {
    const bytes = await picture(name);
    const next = random(bytes.length + 1);
    for (let i = 0; i < MUTATIONS; i++) {
      // A PNG without its last checksums and IEND still has its pixels.
      const length = Math.floor(next() * (bytes.length - 32));
      const cut = bytes.subarray(0, length);
      const decoded = await survives(() => decodeImage(cut), `${length} bytes`);
      assert.ok(!decoded, `${name}: ${length} bytes decode`);
    }
  });
}

test("decodeAudio() survives damaged WAV files", async () => {
  const bytes = (await referenceBytes("media/speech-44k-stereo.wav"))
    .slice(0, 5000);
  new DataView(bytes.buffer).setUint32(40, bytes.length - 44, true);
  const next = random(7);
  for (let i = 0; i < MUTATIONS; i++) {
    const damaged = bytes.slice();
    for (let flips = 0; flips < 3; flips++) {
      const at = Math.floor(next() * 80);
      damaged[at] = damaged[at]! ^ (1 << Math.floor(next() * 8));
    }
    await survives(() => decodeAudio(damaged), `mutation ${i}`);
    const cut = bytes.subarray(0, Math.floor(next() * bytes.length));
    const decoded = await survives(
      () => decodeAudio(cut),
      `${cut.length} bytes`,
    );
    assert.ok(!decoded, `${cut.length} bytes decode`);
  }
});
