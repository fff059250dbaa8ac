// Compressed sound against what the reference decoders make of it.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { decodeAudio } from "../../src/codecs/decode_audio.ts";

// The reference decoders round to 16 bits.
const MIN_SNR_DB = 70;

const LOSSLESS = ["mono16.flac", "stereo24.flac"];
const LOSSY = ["mono.mp3", "stereo.mp3", "mono.ogg", "stereo.ogg"];

const SUPPORTED = "WAV, FLAC, MP3 and Ogg Vorbis are supported";

async function sound(name: string): Promise<Uint8Array> {
  const url = new URL(`sounds/${name}`, import.meta.url);
  return new Uint8Array(await readFile(url));
}

for (const name of LOSSLESS) {
  test(`decodeAudio() reads ${name} exactly`, async () => {
    const actual = await decodeAudio(await sound(name));
    const expected = await decodeAudio(await sound(`${name}.wav`));
    assert.ok(actual.data.some((sample) => Math.abs(sample) > 0.05));
    assert.deepEqual(actual, expected);
  });
}

for (const name of LOSSY) {
  test(`decodeAudio() reads ${name} as its reference decoder does`, async () => {
    const actual = await decodeAudio(await sound(name));
    const expected = await decodeAudio(await sound(`${name}.wav`));
    assert.equal(actual.samplingRate, expected.samplingRate);
    // Without the encoder's delay and padding, so that nothing is shifted.
    assert.equal(actual.data.length, expected.data.length);
    assert.equal(actual.seconds, expected.seconds);
    let signal = 0, noise = 0;
    for (const [i, sample] of expected.data.entries()) {
      signal += sample ** 2;
      noise += (sample - actual.data[i]!) ** 2;
    }
    const snr = 10 * Math.log10(signal / noise);
    assert.ok(signal > 1 && snr >= MIN_SNR_DB, `${snr} dB`);
  });
}

test("decodeAudio() stops at maxSeconds and knows the whole length", async () => {
  for (const name of [...LOSSLESS, ...LOSSY, "mono16.flac.wav"]) {
    const whole = await decodeAudio(await sound(name));
    const part = await decodeAudio(await sound(name), { maxSeconds: 0.05 });
    assert.equal(part.data.length, Math.ceil(whole.samplingRate * 0.05), name);
    assert.deepEqual(part.data, whole.data.subarray(0, part.data.length), name);
    assert.equal(part.seconds, whole.seconds, name);
  }
});

test("decodeAudio() says that the length is unknown where it is cut", async () => {
  const flac = await sound("mono16.flac");
  const whole = await decodeAudio(flac);
  // The number of samples: 36 bits at bit 4 of byte 21.
  flac[21]! &= 0xf0;
  flac.fill(0, 22, 26);
  const part = await decodeAudio(flac, { maxSeconds: 0.05 });
  assert.equal(part.seconds, undefined);
  assert.deepEqual(await decodeAudio(flac), whole);
});

test("decodeAudio() skips the tags before and after the sound", async () => {
  const tag = new Uint8Array(10 + 300);
  tag.set([0x49, 0x44, 0x33, 4, 0, 0, 0, 0, 300 >> 7, 300 & 127]);
  for (const name of ["mono.mp3", "mono16.flac"]) {
    const bytes = await sound(name);
    const tagged = Uint8Array.from([...tag, ...bytes]);
    assert.deepEqual(await decodeAudio(tagged), await decodeAudio(bytes));
  }
});

test("decodeAudio() names what it found instead of sound", async () => {
  const cases: [string, string][] = [
    ["", "it has 0 bytes"],
    ["x", `the first bytes are 78; ${SUPPORTED}`],
    [
      "\0\0\0\x20ftypM4A ",
      `the first bytes are 00 00 00 20 (MP4 or M4A); ${SUPPORTED}`,
    ],
    ["FORM....AIFF", `the first bytes are 46 4f 52 4d (AIFF); ${SUPPORTED}`],
    ["fLaC....", "the FLAC ends early"],
    ["OggS....", "the Ogg ends early"],
    ["ID3\x04\0\0\0\0\0\0", "the MP3 has no frame"],
    ["RIFF....WEBP", "it does not begin with a WAV header"],
  ];
  for (const [text, found] of cases) {
    await assert.rejects(decodeAudio(new TextEncoder().encode(text)), {
      name: "InputError",
      message: `Cannot decode the audio: ${found}`,
    });
  }
  await assert.rejects(decodeAudio(await sound("mono.opus")), {
    name: "InputError",
    message: `Cannot decode the audio: the Ogg file holds Opus; ${SUPPORTED}`,
  });
});

test("decodeAudio() refuses FLAC that ends before its last sample", async () => {
  const flac = await sound("mono16.flac");
  for (const length of [flac.length - 1, 20000, 9000, 100, 43, 20]) {
    await assert.rejects(decodeAudio(flac.subarray(0, length)), {
      name: "InputError",
      message: "Cannot decode the audio: the FLAC ends early",
    });
  }
});

test("decodeAudio() lets the event loop turn and stops when aborted", async () => {
  const bytes = await sound("mono.mp3");
  let steps = 0;
  const controller = new AbortController();
  const signal = {
    throwIfAborted() {
      if (++steps === 1) controller.abort(new Error("enough"));
      controller.signal.throwIfAborted();
    },
  } as AbortSignal;
  await assert.rejects(decodeAudio(bytes, { signal }), { message: "enough" });
  assert.equal(steps, 1);
});
