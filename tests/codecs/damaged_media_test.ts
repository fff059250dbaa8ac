// Damaged files: always an error of ours (or, where the damage is not seen, a
// result), never a hang, too much memory, or codecs that stay broken. The
// fuzzer, tools/fuzz.ts, does the same for as long as one likes.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { pictureCodecs, soundCodecs } from "../../src/codecs/codecs.ts";
import { decodeAudio } from "../../src/codecs/decode_audio.ts";
import { decodeImage } from "../../src/codecs/decode_image.ts";
import { InputError, UnsupportedError } from "../../src/core/errors.ts";
import { resealOgg, resealPng } from "../../tools/checksums.ts";
import { mutate, seededRandom } from "../../tools/mutations.ts";

const MUTATIONS = 1000;
const TRUNCATIONS = 150;
const MAX_MS_EACH = 2000;

// Damaged sizes stay below the limit on pixels; these are 80x60.
const MAX_PICTURE_MEMORY = 2 ** 31;
const MAX_SOUND_MEMORY = 2 ** 27;

interface Format {
  readonly file: string;
  decode(bytes: Uint8Array): Promise<{ data: ArrayLike<number> }>;
  /** Bytes at the end without which all samples are still there. */
  readonly spare: number;
  readonly reseal?: (bytes: Uint8Array) => Uint8Array;
}

function picture(name: string, spare = 32): Format {
  const file = `images/${name}`;
  return name.endsWith(".png")
    ? { file, decode: decodeImage, spare, reseal: resealPng }
    : { file, decode: decodeImage, spare };
}

function sound(name: string, spare: number): Format {
  const file = `sounds/${name}`;
  return name.endsWith(".ogg")
    ? { file, decode: decodeAudio, spare, reseal: resealOgg }
    : { file, decode: decodeAudio, spare };
}

// Sound that is sent as a stream may end anywhere after its first frames.
const ANYWHERE = Infinity;

const FORMATS: readonly Format[] = [
  picture("rgb.png"),
  picture("palette-alpha.png"),
  picture("grey16.png"),
  picture("baseline.jpg"),
  picture("progressive.jpg"),
  picture("cmyk.jpg"),
  picture("rotated-exif6.jpg"),
  picture("lossy.webp"),
  picture("lossless-alpha.webp"),
  // Its second frame is not needed.
  picture("first-frame.gif", ANYWHERE),
  picture("rgb.bmp", 0),
  sound("mono16.flac.wav", 0),
  sound("stereo24.flac", 0),
  sound("stereo.mp3", ANYWHERE),
  sound("stereo.ogg", ANYWHERE),
];

async function read(file: string): Promise<Uint8Array> {
  return new Uint8Array(await readFile(new URL(file, import.meta.url)));
}

/** Whether it was decoded; fails on anything but a result or a refusal. */
async function survives(
  { decode }: Format,
  bytes: Uint8Array,
  label: string,
): Promise<boolean> {
  const started = performance.now();
  let decoded = true;
  await decode(bytes).catch((error) => {
    decoded = false;
    assert.ok(
      error instanceof InputError || error instanceof UnsupportedError,
      `${label}: ${error}`,
    );
  });
  const ms = performance.now() - started;
  assert.ok(ms < MAX_MS_EACH, `${label}: took ${ms} ms`);
  assert.ok(pictureCodecs.memoryBytes < MAX_PICTURE_MEMORY, label);
  assert.ok(soundCodecs.memoryBytes < MAX_SOUND_MEMORY, label);
  return decoded;
}

for (const format of FORMATS) {
  const { file, decode, spare, reseal } = format;

  test(`the decoder survives a damaged ${file}`, async () => {
    const bytes = await read(file);
    const whole = await decode(bytes);
    let refused = 0;
    for (let i = 0; i < MUTATIONS; i++) {
      const damaged = mutate(bytes, seededRandom(i));
      if (i % 2 === 1) reseal?.(damaged);
      if (!await survives(format, damaged, `mutation ${i}`)) refused++;
    }
    assert.ok(refused > MUTATIONS / 50, `${refused} refused`);
    assert.deepEqual((await decode(bytes)).data, whole.data);
  });

  test(`the decoder refuses a truncated ${file}`, async () => {
    const bytes = await read(file);
    const next = seededRandom(bytes.length);
    const least = spare === ANYWHERE ? 30 : 0;
    for (let i = 0; i < TRUNCATIONS; i++) {
      const most = spare === ANYWHERE ? bytes.length : bytes.length - spare;
      const length = Math.floor(next() * most);
      const cut = bytes.subarray(0, length);
      const decoded = await survives(format, cut, `${length} bytes`);
      assert.ok(!decoded || spare === ANYWHERE && length > least, `${length}`);
    }
  });
}

test("decoders refuse lengths that their files do not have", async () => {
  const gif = await read("images/first-frame.gif");
  gif.fill(0xff, 6, 10);
  await assert.rejects(decodeImage(gif), {
    message:
      "Cannot decode the image: its size is 65535x65535, at most 178956970 pixels are allowed",
  });
  const bmp = await read("images/rgb.bmp");
  new DataView(bmp.buffer).setUint32(18, 10_000, true);
  await assert.rejects(decodeImage(bmp), {
    message: "Cannot decode the image: the BMP ends early",
  });
  const flac = await read("sounds/mono16.flac");
  flac.fill(0xff, 5, 8);
  await assert.rejects(decodeAudio(flac), {
    message: "Cannot decode the audio: the FLAC ends early",
  });
  const claiming = await read("sounds/mono16.flac");
  // 2^36 - 1 samples.
  claiming[21]! |= 0x0f;
  claiming.fill(0xff, 22, 26);
  const { seconds } = await decodeAudio(claiming, { maxSeconds: 0.1 });
  assert.equal(seconds, (2 ** 36 - 1) / 16000);
});
