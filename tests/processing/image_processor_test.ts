// Pixel values against what Transformers makes of the same pictures.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { decodeImage } from "../../src/codecs/decode_image.ts";
import { CheckpointError, InputError } from "../../src/core/errors.ts";
import { isJsonObject, type JsonObject } from "../../src/core/json.ts";
import { SiglipImageProcessor } from "../../src/processing/image_processor.ts";
import { golden, referenceBytes, referenceText } from "../golden.ts";

async function tinyConfig(): Promise<JsonObject> {
  const config = JSON.parse(await referenceText("tiny/processor_config.json"));
  assert.ok(isJsonObject(config.image_processor));
  return config.image_processor;
}

async function tinyProcessor(changes: JsonObject = {}) {
  return new SiglipImageProcessor({ ...await tinyConfig(), ...changes });
}

test("SiglipImageProcessor equals Transformers on a PNG, value for value", async () => {
  const processor = await tinyProcessor();
  const cat = await referenceBytes("media/cat.png");
  const pixelValues = await processor.process([cat]);
  const expected = (await golden()).float32("image.pixel_values");
  assert.deepEqual(pixelValues.shape, [1, 3, 256, 256]);
  assert.deepEqual(pixelValues.shape, expected.shape);
  assert.deepEqual(pixelValues.data, expected.data);
});

test("SiglipImageProcessor equals Transformers on JPEGs", async () => {
  const processor = await tinyProcessor();
  const pixelValues = await processor.process([
    await referenceBytes("media/china.jpg"),
    await referenceBytes("media/flower.jpg"),
  ]);
  const expected = (await golden()).float32("images.pixel_values");
  assert.deepEqual(pixelValues.shape, expected.shape);
  assert.deepEqual(pixelValues.data, expected.data);
});

test("SiglipImageProcessor takes all kinds of input alike", async () => {
  const processor = await tinyProcessor();
  const bytes = await referenceBytes("media/cat.png");
  const rgb = await decodeImage(bytes);
  const pixels = rgb.width * rgb.height;
  const rgba = new Uint8ClampedArray(pixels * 4).fill(7);
  for (let i = 0; i < pixels; i++) {
    rgba.set(rgb.data.subarray(i * 3, i * 3 + 3), i * 4);
  }
  const buffer = bytes.slice().buffer;
  const { data } = await processor.process([bytes]);
  for (
    const input of [buffer, new Blob([buffer]), rgb, { ...rgb, data: rgba }]
  ) {
    const other = await processor.process([input]);
    assert.deepEqual(other.data, data);
  }
});

test("SiglipImageProcessor takes every format of files", async () => {
  const processor = await tinyProcessor({ do_resize: false });
  const read = (name: string) =>
    readFile(new URL(`../codecs/images/${name}`, import.meta.url));
  const [png, bmp] = await Promise.all([read("rgb.png"), read("rgb.bmp")]);
  const { data } = await processor.process([png]);
  assert.deepEqual((await processor.process([bmp])).data, data);
  for (const name of ["lossy.webp", "first-frame.gif", "baseline.jpg"]) {
    const { shape } = await processor.process([await read(name)]);
    assert.deepEqual(shape, [1, 3, 60, 80], name);
  }
});

/** Runs with globals that only browsers have. */
async function withGlobals<T>(
  globals: Readonly<Record<string, unknown>>,
  run: () => Promise<T>,
): Promise<T> {
  const scope = globalThis as Record<string, unknown>;
  const before = Object.keys(globals).map((name) => [name, scope[name]]);
  Object.assign(scope, globals);
  try {
    return await run();
  } finally {
    Object.assign(scope, Object.fromEntries(before));
  }
}

test("SiglipImageProcessor draws an ImageBitmap where the runtime can", async () => {
  class FakeBitmap {
    readonly width = 2;
    readonly height = 1;
  }
  const drawn: unknown[] = [];
  const context = {
    drawImage: (bitmap: unknown) => drawn.push(bitmap),
    getImageData: (_x: number, _y: number, width: number, height: number) => ({
      width,
      height,
      data: Uint8ClampedArray.of(1, 2, 3, 9, 4, 5, 6, 9),
    }),
  };
  class FakeCanvas {
    getContext(kind: string) {
      return kind === "2d" ? context : null;
    }
  }
  const processor = await tinyProcessor({
    do_resize: false,
    do_rescale: false,
    do_normalize: false,
  });
  const bitmap = new FakeBitmap() as ImageBitmap;
  const globals = { ImageBitmap: FakeBitmap, OffscreenCanvas: FakeCanvas };
  const { data, shape } = await withGlobals(
    globals,
    () => processor.process([bitmap]),
  );
  assert.deepEqual(shape, [1, 3, 1, 2]);
  assert.deepEqual([...data], [1, 4, 2, 5, 3, 6]);
  assert.deepEqual(drawn, [bitmap]);
  await assert.rejects(
    withGlobals(
      { ...globals, OffscreenCanvas: undefined },
      () => processor.process([bitmap]),
    ),
    {
      name: "UnsupportedError",
      message: /Cannot read the pixels of an ImageBitmap of 2x1/,
    },
  );
});

test("SiglipImageProcessor rescales and normalises as the config says", async () => {
  const picture = { width: 1, height: 1, data: Uint8Array.of(0, 51, 255) };
  const value = async (
    changes: JsonObject,
  ) => [
    ...(await (await tinyProcessor({ do_resize: false, ...changes })).process([
      picture,
    ])).data,
  ];
  const rescaled = Math.fround(51 * Math.fround(1 / 255));
  assert.deepEqual(await value({}), [0, rescaled, 1]);
  assert.deepEqual(await value({ do_rescale: false }), [0, 51, 255]);
  assert.deepEqual(await value({ do_normalize: true }), [
    -1,
    Math.fround(Math.fround(51 - 127.5) / 127.5),
    1,
  ]);
  const raw = { do_normalize: true, do_rescale: false };
  const parameters = { image_mean: [0, 1, 5], image_std: [1, 2, 10] };
  assert.deepEqual(await value({ ...raw, ...parameters }), [0, 25, 25]);
});

test("SiglipImageProcessor refuses what it cannot do", async () => {
  await assert.rejects(tinyProcessor({ resample: 3 }), {
    name: "UnsupportedError",
    message: /"resample": 3/,
  });
  await assert.rejects(tinyProcessor({ size: { shortest_edge: 5 } }), {
    name: "UnsupportedError",
  });
  await assert.rejects(tinyProcessor({ do_resize: "yes" }), CheckpointError);
  await assert.rejects(tinyProcessor({ rescale_factor: "x" }), CheckpointError);
  const processor = await tinyProcessor({ do_resize: false });
  const dot = { width: 1, height: 1, data: new Uint8Array(3) };
  const line = { width: 2, height: 1, data: new Uint8Array(6) };
  await assert.rejects(processor.process([dot, line]), {
    name: "InputError",
    message: /image 0 is 1x1, image 1 is 2x1/,
  });
  await assert.rejects(processor.process([]), InputError);
  await assert.rejects(processor.process([{ ...dot, width: 2 }]), {
    name: "InputError",
    message: /2x1 takes 6 bytes of RGB or 8 of RGBA, the data has 3/,
  });
  await assert.rejects(
    processor.process([{ ...dot, width: 0 }]),
    InputError,
  );
  const wrong = { width: 1, height: 1 } as unknown as Uint8Array;
  await assert.rejects(processor.process([wrong]), InputError);
  const rgba = { width: 1, height: 1, data: new Uint8Array(4) };
  const rgbOnly = await tinyProcessor({ do_convert_rgb: false });
  await assert.rejects(rgbOnly.process([rgba]), { name: "UnsupportedError" });
});
