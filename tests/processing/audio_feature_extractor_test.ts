// Log-mel features and masks against what Transformers makes of the same clips.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { decodeAudio } from "../../src/codecs/decode_audio.ts";
import { CheckpointError, InputError } from "../../src/core/errors.ts";
import { isJsonObject, type JsonObject } from "../../src/core/json.ts";
import { Gemma3nAudioFeatureExtractor } from "../../src/processing/audio_feature_extractor.ts";
import type { AudioFeatures } from "../../src/processing/media.ts";
import { golden, referenceBytes, referenceText } from "../golden.ts";
import { assertClose } from "../testing.ts";

const FEATURE_TOLERANCE = 5e-6;

async function tinyConfig(): Promise<JsonObject> {
  const config = JSON.parse(await referenceText("tiny/processor_config.json"));
  assert.ok(isJsonObject(config.feature_extractor));
  return config.feature_extractor;
}

async function tinyExtractor(
  changes: JsonObject = {},
  onWarning: (warning: string) => void = (warning) => assert.fail(warning),
) {
  const config = { ...await tinyConfig(), ...changes };
  return new Gemma3nAudioFeatureExtractor(config, { onWarning });
}

async function assertGolden(
  { inputFeatures, inputFeaturesMask }: AudioFeatures,
  name: string,
): Promise<void> {
  const file = await golden();
  const features = file.float32(`${name}.input_features`);
  const mask = file.uint8(`${name}.input_features_mask`);
  assert.deepEqual(inputFeatures.shape, features.shape, name);
  assert.deepEqual(inputFeaturesMask.shape, mask.shape, name);
  assert.deepEqual([...inputFeaturesMask.data], [...mask.data], name);
  assertClose(inputFeatures.data, features.data, {
    atol: FEATURE_TOLERANCE,
    label: name,
  });
}

async function speech(): Promise<Float32Array> {
  return (await decodeAudio(await referenceBytes("media/speech-16k.wav"))).data;
}

test("Gemma3nAudioFeatureExtractor equals Transformers on a WAV file", async () => {
  const bytes = await referenceBytes("media/speech-16k.wav");
  const extractor = await tinyExtractor();
  await assertGolden(await extractor.process([bytes]), "audio");
  await assertGolden(
    await extractor.process([new Blob([bytes.slice()])]),
    "audio",
  );
});

test("Gemma3nAudioFeatureExtractor pads clips to the longest", async () => {
  const clip = await speech();
  const extractor = await tinyExtractor();
  const data = clip.subarray(20000, 50000);
  const features = await extractor.process([clip, {
    data,
    samplingRate: 16000,
  }]);
  await assertGolden(features, "clips");
});

test("Gemma3nAudioFeatureExtractor cuts at 30 s and says so", async () => {
  const warnings: string[] = [];
  const extractor = await tinyExtractor({}, (text) => warnings.push(text));
  const bytes = await referenceBytes("media/long35s.wav");
  await assertGolden(await extractor.process([bytes]), "long_audio");
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /clip 0 has 35\.\d s, only the first 30 s/);
});

test("Gemma3nAudioFeatureExtractor converts other rates", async () => {
  const extractor = await tinyExtractor();
  const bytes = await referenceBytes("media/speech-44k-stereo.wav");
  const { data } = await decodeAudio(
    await referenceBytes("media/speech-44k-stereo.16k-mono-f32.wav"),
  );
  const converted = await extractor.process([bytes]);
  const expected = await extractor.process([data]);
  assert.deepEqual(
    converted.inputFeaturesMask,
    expected.inputFeaturesMask,
  );
  const { length } = expected.inputFeatures.data;
  let squares = 0;
  for (let i = 0; i < length; i++) {
    const a = converted.inputFeatures.data[i]!;
    squares += (a - expected.inputFeatures.data[i]!) ** 2;
  }
  assert.ok(Math.sqrt(squares / length) < 0.05);
});

test("Gemma3nAudioFeatureExtractor takes FLAC, MP3 and Ogg Vorbis", async () => {
  const extractor = await tinyExtractor();
  const features = async (name: string) => {
    const url = new URL(`../codecs/sounds/${name}`, import.meta.url);
    return await extractor.process([await readFile(url)]);
  };
  const flac = await features("mono16.flac");
  assert.deepEqual(flac, await features("mono16.flac.wav"));
  for (const name of ["mono.mp3", "mono.ogg"]) {
    const lossy = await features(name);
    // The same speech, so the same frames; most bins hold a similar level.
    assert.deepEqual(lossy.inputFeaturesMask, flac.inputFeaturesMask, name);
    const { data } = flac.inputFeatures;
    const sum = lossy.inputFeatures.data.reduce(
      (sum, value, i) => sum + Math.abs(value - data[i]!),
      0,
    );
    assert.ok(sum / data.length < 1, `${name}: off by ${sum / data.length}`);
  }
});

test("Gemma3nAudioFeatureExtractor decodes no more of a file than it uses", async () => {
  // 80 s of silence in a FLAC file that repeats one frame.
  const warnings: string[] = [];
  const extractor = await tinyExtractor({}, (text) => warnings.push(text));
  const { inputFeatures } = await extractor.process([silentFlac(80)]);
  assert.equal(inputFeatures.shape[1], 2997);
  assert.match(warnings[0]!, /clip 0 has 80\.0 s, only the first 30 s/);
  warnings.length = 0;
  await extractor.process([silentFlac(80, { tellsLength: false })]);
  assert.match(warnings[0]!, /clip 0 has more than 30 s, only the first 30 s/);
});

/** FLAC, 16 kHz, 16 bits, mono: frames of 16,000 zeros, a second each. */
function silentFlac(
  seconds: number,
  { tellsLength = true } = {},
): Uint8Array {
  const info = new Uint8Array(42);
  const view = new DataView(info.buffer);
  info.set([0x66, 0x4c, 0x61, 0x43, 0x80, 0, 0, 34]);
  view.setUint16(8, 16000);
  view.setUint16(10, 16000);
  // 20 bits of rate, 3 of channels, 5 of sample size, 36 of length.
  view.setUint32(18, 16000 * 4096 + (15 << 4));
  view.setUint32(22, tellsLength ? seconds * 16000 : 0);
  const frames: number[] = [];
  for (let i = 0; i < seconds; i++) {
    // 16-bit block size, 16 kHz, mono, 16 bits, number of the frame.
    const header = [0xff, 0xf8, 0x75, 0x08, i, 0x3e, 0x7f];
    const frame = [...header, crc(header, 8, 0x07), 0, 0, 0];
    const check = crc(frame, 16, 0x8005);
    frames.push(...frame, check >> 8, check & 255);
  }
  return Uint8Array.from([...info, ...frames]);
}

function crc(bytes: readonly number[], width: 8 | 16, polynomial: number) {
  const top = 1 << (width - 1), mask = (1 << width) - 1;
  let value = 0;
  for (const byte of bytes) {
    value ^= byte << (width - 8);
    for (let bit = 0; bit < 8; bit++) {
      value = ((value << 1) ^ (value & top ? polynomial : 0)) & mask;
    }
  }
  return value;
}

test("Gemma3nAudioFeatureExtractor normalises each bin", async () => {
  const clip = (await speech()).subarray(0, 2000);
  const plain = await (await tinyExtractor()).process([clip]);
  const mean = Array.from({ length: 128 }, (_, bin) => bin / 10);
  const extractor = await tinyExtractor({
    per_bin_mean: mean,
    per_bin_stddev: mean.map((m) => m + 1),
  });
  const { inputFeatures } = await extractor.process([clip]);
  const expected = plain.inputFeatures.data.map((x, i) =>
    (x - mean[i % 128]!) / (mean[i % 128]! + 1)
  );
  assertClose(inputFeatures.data, expected, { rtol: 1e-6, label: "features" });
});

test("Gemma3nAudioFeatureExtractor marks frames that start in the clip", async () => {
  const extractor = await tinyExtractor();
  const clips = [1, 160, 161, 513, 1000].map((n) => new Float32Array(n));
  const { inputFeatures, inputFeaturesMask } = await extractor.process(clips);
  // 1000 samples are padded to 1024: floor((1024 - 513) / 160) + 1 frames.
  assert.deepEqual(inputFeatures.shape, [5, 4, 128]);
  assert.deepEqual([...inputFeaturesMask.data], [
    ...[1, 0, 0, 0],
    ...[1, 0, 0, 0],
    ...[1, 1, 0, 0],
    ...[1, 1, 1, 1],
    ...[1, 1, 1, 1],
  ]);
});

test("Gemma3nAudioFeatureExtractor refuses clips without sound in them", async () => {
  const extractor = await tinyExtractor();
  const refused = [
    new Float32Array(0),
    new Float32Array(512),
    new Float32Array(1000).fill(NaN),
    new Float32Array(1000).fill(Infinity),
    { data: new Float32Array(1000), samplingRate: 0 },
    { data: [1, 2], samplingRate: 16000 } as unknown as Float32Array,
    new Uint8Array(0),
  ];
  for (const clip of refused) {
    await assert.rejects(extractor.process([clip]), InputError);
  }
  await assert.rejects(extractor.process([]), InputError);
});

test("Gemma3nAudioFeatureExtractor refuses configs it cannot follow", async () => {
  for (const changes of [{ dither: 0.1 }, { padding_side: "left" }]) {
    await assert.rejects(tinyExtractor(changes), { name: "UnsupportedError" });
  }
  for (
    const changes of [{ sampling_rate: 0 }, { per_bin_mean: [1] }, {
      mel_floor: "x",
    }]
  ) {
    await assert.rejects(tinyExtractor(changes), CheckpointError);
  }
});
