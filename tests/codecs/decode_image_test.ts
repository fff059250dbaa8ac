// Decoding pictures against Pillow's pixels.
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { deflateSync } from "node:zlib";

import { decodeImage } from "../../src/codecs/decode_image.ts";

// JPEG decoders may round differently; PNG is exact.
const MAX_JPEG_ERROR = 4;
const MAX_MEAN_JPEG_ERROR = 0.5;

const folder = new URL("images/", import.meta.url);

function read(name: string): Promise<Uint8Array> {
  return readFile(new URL(name, folder)).then((bytes) => new Uint8Array(bytes));
}

test("decodeImage() gives Pillow's pixels in every colour mode", async () => {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".raw"));
  assert.ok(names.length >= 13);
  for (const raw of names) {
    const name = raw.slice(0, -".raw".length);
    const [file, expected] = [await read(name), await read(raw)];
    const { width, height, data } = await decodeImage(file);
    const size = name === "rotated-exif6.jpg" ? [60, 80] : [80, 60];
    assert.deepEqual([width, height], size, name);
    const jpeg = name.endsWith(".jpg");
    const { max, mean } = difference(data, expected);
    assert.ok(max <= (jpeg ? MAX_JPEG_ERROR : 0), `${name}: off by ${max}`);
    assert.ok(
      mean <= MAX_MEAN_JPEG_ERROR,
      `${name}: off by ${mean} on average`,
    );
  }
});

function difference(
  actual: Uint8Array,
  expected: Uint8Array,
): { max: number; mean: number } {
  assert.equal(actual.length, expected.length);
  let max = 0, sum = 0;
  for (let i = 0; i < actual.length; i++) {
    const error = Math.abs(actual[i]! - expected[i]!);
    max = Math.max(max, error);
    sum += error;
  }
  return { max, mean: sum / actual.length };
}

// Pillow clips 16-bit grey to 255; we scale it.
test("decodeImage() scales 16-bit grey", async () => {
  const deep = await decodeImage(await read("grey16.png"));
  const flat = await decodeImage(await read("grey.png"));
  const { max } = difference(deep.data, flat.data);
  assert.ok(max <= 1, `off by ${max}`);
});

test("decodeImage() names what it found instead of a picture", async () => {
  const cases: [string, string][] = [
    [
      "GIF89a",
      "the first bytes are 47 49 46 38 (GIF); PNG and JPEG are supported",
    ],
    ["", "it has 0 bytes"],
    ["x", "the first bytes are 78; PNG and JPEG are supported"],
  ];
  for (const [text, found] of cases) {
    await assert.rejects(decodeImage(new TextEncoder().encode(text)), {
      name: "InputError",
      message: `Cannot decode the image: ${found}`,
    });
  }
});

test("decodeImage() refuses large claims before it allocates", async () => {
  await assert.rejects(decodeImage(claimingPng(30000, 30000)), {
    name: "InputError",
    message: /its size is 30000x30000, at most 178956970 pixels are allowed/,
  });
  await assert.rejects(decodeImage(claimingPng(13000, 13000)), {
    name: "InputError",
    message: /bytes are too few for a size of 13000x13000/,
  });
  const jpeg = (await read("baseline.jpg")).slice();
  jpeg.set([0xff, 0xff, 0xff, 0xff], frameHeader(jpeg) + 5);
  await assert.rejects(decodeImage(jpeg), {
    name: "InputError",
    message: /its size is 65535x65535/,
  });
});

/** Offset of the baseline frame header, found segment by segment. */
function frameHeader(jpeg: Uint8Array): number {
  let at = 2;
  while (jpeg[at + 1] !== 0xc0) {
    assert.equal(jpeg[at], 0xff);
    at += 2 + jpeg[at + 2]! * 256 + jpeg[at + 3]!;
  }
  return at;
}

/** A whole PNG with one row of zeros, whatever size it claims. */
function claimingPng(width: number, height: number): Uint8Array {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, 2, 0, 0, 0], 8);
  const pixels = new Uint8Array(deflateSync(new Uint8Array(1 + width * 3)));
  return Uint8Array.from([
    ...[0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
    ...chunk("IHDR", header),
    ...chunk("IDAT", pixels),
    ...chunk("IEND", new Uint8Array(0)),
  ]);
}

function chunk(name: string, content: Uint8Array): Uint8Array {
  const out = new Uint8Array(12 + content.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, content.length);
  out.set(new TextEncoder().encode(name), 4);
  out.set(content, 8);
  view.setUint32(8 + content.length, crc32(out.subarray(4, -4)));
  return out;
}

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) {
      crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
  }
  return ~crc >>> 0;
}

test("decodeImage() cuts a PNG into slices", async () => {
  let slices = 0;
  const signal = { throwIfAborted: () => void slices++ };
  const width = 4000, height = 2000;
  const rows = new Uint8Array(height * (1 + width * 3));
  const header = claimingPng(width, height).subarray(0, 8 + 12 + 13);
  const png = Uint8Array.from([
    ...header,
    ...chunk("IDAT", new Uint8Array(deflateSync(rows))),
    ...chunk("IEND", new Uint8Array(0)),
  ]);
  const { data } = await decodeImage(png, { signal: signal as AbortSignal });
  assert.equal(data.length, width * height * 3);
  assert.ok(slices > 20, `${slices} slices`);
});
