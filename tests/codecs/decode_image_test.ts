// Decoding pictures against Pillow's pixels.
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { deflateSync } from "node:zlib";

import { decodeImage } from "../../src/codecs/decode_image.ts";

// Lossy WebP may be rounded differently; all others are exact.
const MAX_WEBP_ERROR = 3;
const MAX_MEAN_WEBP_ERROR = 0.5;

const folder = new URL("images/", import.meta.url);

function read(name: string): Promise<Uint8Array> {
  return readFile(new URL(name, folder)).then((bytes) => new Uint8Array(bytes));
}

test("decodeImage() gives Pillow's pixels in every colour mode", async () => {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".raw"));
  assert.ok(names.length >= 21);
  for (const raw of names) {
    const name = raw.slice(0, -".raw".length);
    const [file, expected] = [await read(name), await read(raw)];
    const { width, height, data } = await decodeImage(file);
    const size = name === "rotated-exif6.jpg" ? [60, 80] : [80, 60];
    assert.deepEqual([width, height], size, name);
    const { max, mean } = difference(data, expected);
    const most = name === "lossy.webp" ? MAX_WEBP_ERROR : 0;
    assert.ok(max <= most, `${name}: off by ${max}`);
    assert.ok(
      mean <= MAX_MEAN_WEBP_ERROR,
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
  const supported = "PNG, JPEG, WebP, GIF and BMP are supported";
  const cases: [string, string][] = [
    ["II*\0....", `the first bytes are 49 49 2a 00 (TIFF); ${supported}`],
    [
      "\0\0\0\x1cftypavif",
      `the first bytes are 00 00 00 1c (AVIF); ${supported}`,
    ],
    ["RIFF....WAVE", `the first bytes are 52 49 46 46; ${supported}`],
    ["x", `the first bytes are 78; ${supported}`],
    ["", "it has 0 bytes"],
    ["GIF89a", "the GIF ends early"],
    ["BM", "the BMP ends early"],
    ["RIFF....WEBP", "the WebP ends early"],
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
  const large = (await read("baseline.jpg")).slice();
  large.set([0x32, 0, 0x0d, 0], frameHeader(large) + 5);
  await assert.rejects(decodeImage(large), {
    name: "InputError",
    message: /bytes are too few for a size of 3328x12800/,
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
  return makePng(width, height, new Uint8Array(1 + width * 3), false);
}

/** A PNG, 8-bit RGB, of filtered rows. */
function makePng(
  width: number,
  height: number,
  rows: Uint8Array,
  interlaced: boolean,
): Uint8Array {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, 2, 0, 0, interlaced ? 1 : 0], 8);
  return Uint8Array.from([
    ...[0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
    ...chunk("IHDR", header),
    ...chunk("IDAT", new Uint8Array(deflateSync(rows))),
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

test("decodeImage() takes a PNG that lacks its end, as Pillow does", async () => {
  const png = await read("rgb.png");
  const whole = await decodeImage(png);
  const cut = await decodeImage(png.subarray(0, -12));
  assert.deepEqual(cut.data, whole.data);
});

// First column, first row, step in x, step in y of the seven passes.
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

test("decodeImage() reads interlaced PNGs", async () => {
  for (const [width, height] of [[1, 1], [3, 2], [9, 5], [20, 17]] as const) {
    const pixels = Uint8Array.from(
      { length: width * height * 3 },
      (_, i) => (i * 37) % 251,
    );
    const rows: number[] = [];
    for (const [left, top, stepX, stepY] of ADAM7) {
      for (let y = top; y < height && left < width; y += stepY) {
        rows.push(0);
        for (let x = left; x < width; x += stepX) {
          const at = (y * width + x) * 3;
          rows.push(...pixels.subarray(at, at + 3));
        }
      }
    }
    const png = makePng(width, height, Uint8Array.from(rows), true);
    const { data } = await decodeImage(png);
    assert.deepEqual(data, pixels, `${width}x${height}`);
  }
});

test("decodeImage() turns a PNG as its eXIf chunk says", async () => {
  const row = [0, ...[1, 1, 1], ...[2, 2, 2]];
  const exif = Uint8Array.of(
    ...[0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1],
    ...[0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 3, 0, 0],
  );
  const png = makePng(2, 1, Uint8Array.from(row), false);
  const end = png.length - 12;
  const turned = Uint8Array.from([
    ...png.subarray(0, end),
    ...chunk("eXIf", exif),
    ...png.subarray(end),
  ]);
  assert.deepEqual([...(await decodeImage(turned)).data], [2, 2, 2, 1, 1, 1]);
});

test("decodeImage() cuts a PNG into slices", async () => {
  let slices = 0;
  const signal = { throwIfAborted: () => void slices++ };
  const width = 4000, height = 2000;
  const rows = new Uint8Array(height * (1 + width * 3));
  const png = makePng(width, height, rows, false);
  const { data } = await decodeImage(png, { signal: signal as AbortSignal });
  assert.equal(data.length, width * height * 3);
  assert.ok(slices > 20, `${slices} slices`);
});

/** Offset of the value of the orientation tag. */
function orientationOffset(bytes: Uint8Array): number {
  for (let at = 0; at + 12 <= bytes.length; at++) {
    const entry = bytes.subarray(at, at + 8);
    if (`${entry}` === "18,1,3,0,1,0,0,0") return at + 8; // little endian
    if (`${entry}` === "1,18,0,3,0,0,0,1") return at + 9;
  }
  return assert.fail("there is no orientation tag");
}

test("decodeImage() turns a JPEG in all eight ways", async () => {
  const jpeg = (await read("rotated-exif6.jpg")).slice();
  const at = orientationOffset(jpeg);
  assert.equal(jpeg[at], 6);
  jpeg[at] = 1;
  const stored = await decodeImage(jpeg);
  const [w, h] = [stored.width, stored.height];
  // Where the upright pixel (x, y) is stored.
  const sources: readonly ((x: number, y: number) => [number, number])[] = [
    (x, y) => [x, y],
    (x, y) => [w - 1 - x, y],
    (x, y) => [w - 1 - x, h - 1 - y],
    (x, y) => [x, h - 1 - y],
    (x, y) => [y, x],
    (x, y) => [y, h - 1 - x],
    (x, y) => [w - 1 - y, h - 1 - x],
    (x, y) => [w - 1 - y, x],
  ];
  for (const [i, source] of sources.entries()) {
    jpeg[at] = i + 1;
    const { width, height, data } = await decodeImage(jpeg);
    assert.deepEqual([width, height], i < 4 ? [w, h] : [h, w]);
    for (let y = 0; y < height; y += 7) {
      for (let x = 0; x < width; x++) {
        const [u, v] = source(x, y);
        const from = (v * w + u) * 3, to = (y * width + x) * 3;
        assert.deepEqual(
          data.subarray(to, to + 3),
          stored.data.subarray(from, from + 3),
          `orientation ${i + 1} at ${x}, ${y}`,
        );
      }
    }
  }
});

test("decodeImage() turns a WebP as its EXIF chunk says", async () => {
  const webp = await read("lossless-alpha.webp");
  const upright = await decodeImage(webp);
  const tiff = Uint8Array.of(
    ...[0x49, 0x49, 42, 0, 8, 0, 0, 0, 1, 0],
    ...[0x12, 0x01, 3, 0, 1, 0, 0, 0, 3, 0, 0, 0],
  );
  const pixels = webp.subarray(12);
  const { width, height } = upright;
  const turned = await decodeImage(Uint8Array.from([
    ...riffChunk("RIFF", [
      ...new TextEncoder().encode("WEBP"),
      // Alpha and EXIF, then the size less one in 24 bits each.
      ...riffChunk("VP8X", [
        ...[0x18, 0, 0, 0, width - 1, 0, 0, height - 1, 0, 0],
      ]),
      ...pixels,
      ...riffChunk("EXIF", [...tiff]),
    ]),
  ]));
  assert.deepEqual(turned.data.subarray(0, 3), upright.data.slice(-3));
  assert.deepEqual(turned.data.slice(-3), upright.data.subarray(0, 3));
});

function riffChunk(name: string, content: readonly number[]): number[] {
  const length = content.length;
  return [
    ...new TextEncoder().encode(name),
    ...[length & 255, length >> 8, 0, 0],
    ...content,
  ];
}

test("decodeImage() cuts GIF and BMP into slices", async () => {
  for (const name of ["first-frame.gif", "rgb.bmp"]) {
    const signal = AbortSignal.abort(new Error("enough"));
    await assert.rejects(decodeImage(await read(name), { signal }), {
      message: "enough",
    });
  }
});
