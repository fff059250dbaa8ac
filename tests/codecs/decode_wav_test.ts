// WAV files of every encoding, made here, and the recordings.
import assert from "node:assert/strict";
import { test } from "node:test";

import { decodeAudio } from "../../src/codecs/decode_audio.ts";
import { decodeWav } from "../../src/codecs/decode_wav.ts";
import { InputError, UnsupportedError } from "../../src/core/errors.ts";
import { referenceBytes } from "../golden.ts";

interface WavOptions {
  readonly encoding?: number;
  readonly channels?: number;
  readonly bits: number;
  readonly extensible?: boolean;
  /** What the data chunk claims; its true size unless given. */
  readonly claimed?: number;
}

/** A WAV file at 8000 Hz with an odd-sized chunk before its format. */
function wav(samples: Uint8Array, options: WavOptions): Uint8Array {
  const { encoding = 1, channels = 1, bits, extensible = false } = options;
  const frameBytes = channels * bits / 8;
  const format = new DataView(new ArrayBuffer(extensible ? 40 : 16));
  format.setUint16(0, extensible ? 0xfffe : encoding, true);
  format.setUint16(2, channels, true);
  format.setUint32(4, 8000, true);
  format.setUint32(8, 8000 * frameBytes, true);
  format.setUint16(12, frameBytes, true);
  format.setUint16(14, bits, true);
  if (extensible) format.setUint16(24, encoding, true);
  return Uint8Array.from([
    ...text("RIFF"),
    ...uint32(0),
    ...text("WAVE"),
    ...text("LIST"),
    ...uint32(3),
    ...[1, 2, 3, 0],
    ...text("fmt "),
    ...uint32(format.byteLength),
    ...new Uint8Array(format.buffer),
    ...text("data"),
    ...uint32(options.claimed ?? samples.length),
    ...samples,
  ]);
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function uint32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

function bytesOf(data: ArrayBufferView): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

test("decodeWav() reads every sample format", async () => {
  const cases: [string, Uint8Array, WavOptions, number[]][] = [
    ["8", Uint8Array.of(0, 128, 192), { bits: 8 }, [-1, 0, 0.5]],
    ["16", bytesOf(Int16Array.of(-32768, 16384)), { bits: 16 }, [-1, 0.5]],
    ["24", Uint8Array.of(0, 0, 128, 0, 0, 64, 255, 255, 255), { bits: 24 }, [
      -1,
      0.5,
      -(2 ** -23),
    ]],
    ["32", bytesOf(Int32Array.of(-(2 ** 31), 2 ** 30)), { bits: 32 }, [
      -1,
      0.5,
    ]],
    ["f32", bytesOf(Float32Array.of(1.5, -0.25)), { bits: 32, encoding: 3 }, [
      1.5,
      -0.25,
    ]],
    ["f64", bytesOf(Float64Array.of(1.5, -0.25)), { bits: 64, encoding: 3 }, [
      1.5,
      -0.25,
    ]],
  ];
  for (const [name, samples, options, expected] of cases) {
    for (const extensible of [false, true]) {
      const file = wav(samples, { ...options, extensible });
      const { data, samplingRate } = await decodeWav(file);
      assert.equal(samplingRate, 8000);
      assert.deepEqual([...data], expected, `${name}, ${extensible}`);
    }
  }
});

test("decodeWav() gives the mean of the channels", async () => {
  const samples = bytesOf(Int16Array.of(8192, 16384, -8192, -8192, 0, 8192));
  const stereo = await decodeWav(wav(samples, { bits: 16, channels: 2 }));
  assert.deepEqual([...stereo.data], [0.375, -0.25, 0.125]);
  const three = await decodeWav(wav(samples, { bits: 16, channels: 3 }));
  assert.deepEqual([...three.data], [
    Math.fround(0.5 / 3),
    0,
  ]);
});

test("decodeWav() reads to the end where a pipe left the length open", async () => {
  const samples = bytesOf(Int16Array.of(16384, 8192));
  for (const claimed of [0xffff_ffff, 0x7fff_f000]) {
    const { data } = await decodeWav(wav(samples, { bits: 16, claimed }));
    assert.deepEqual([...data], [0.5, 0.25]);
  }
});

test("decodeWav() refuses what it cannot read", async () => {
  const samples = new Uint8Array(8);
  const unsupported: [WavOptions, RegExp][] = [
    [{ bits: 8, encoding: 7 }, /mu-law \(7\) of 8 bits/],
    [{ bits: 64 }, /PCM \(1\) of 64 bits/],
    [{ bits: 16, encoding: 3 }, /float \(3\) of 16 bits/],
    [{ bits: 8, encoding: 999 }, /an unknown encoding \(999\)/],
  ];
  for (const [options, message] of unsupported) {
    await assert.rejects(decodeWav(wav(samples, options)), (error) => {
      assert.ok(error instanceof UnsupportedError);
      assert.match(error.message, message);
      return true;
    });
  }
  const whole = wav(samples, { bits: 8 });
  await assert.rejects(decodeWav(whole.subarray(0, -1)), {
    name: "InputError",
    message: /the WAV chunk "data" claims 8 bytes, 7 are left/,
  });
  await assert.rejects(decodeWav(wav(samples, { bits: 8, channels: 0 })), {
    name: "InputError",
  });
  for (const length of [0, 4, 12, 20, 30, 40, 50]) {
    await assert.rejects(decodeWav(whole.subarray(0, length)), InputError);
  }
});

test("decodeAudio() reads the recordings", async () => {
  const mono = await decodeAudio(await referenceBytes("media/speech-16k.wav"));
  assert.equal(mono.samplingRate, 16000);
  assert.ok(mono.data.some((sample) => Math.abs(sample) > 0.1));
  const stereo = await decodeAudio(
    await referenceBytes("media/speech-44k-stereo.wav"),
  );
  assert.equal(stereo.samplingRate, 44100);
});
