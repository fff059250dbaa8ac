// Resizing against torchvision's results on seeded noise.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { resizeImage } from "../../src/codecs/resize_image.ts";
import { InputError } from "../../src/core/errors.ts";

interface ResizeCase {
  readonly size: readonly [number, number];
  readonly newSize: readonly [number, number];
  readonly expected: readonly number[];
}

// The bytes that data/make_resize.py gave to torchvision.
function noise(length: number): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

function picture(width: number, height: number) {
  return { width, height, data: noise(width * height * 3) };
}

test("resizeImage() gives torchvision's bytes", async () => {
  const url = new URL("data/resize.json", import.meta.url);
  const cases: ResizeCase[] = JSON.parse(await readFile(url, "utf8"));
  assert.ok(cases.length > 5);
  for (const { size, newSize, expected } of cases) {
    const [width, height] = newSize;
    const resized = await resizeImage(picture(...size), { width, height });
    assert.deepEqual([resized.width, resized.height], newSize);
    assert.deepEqual([...resized.data], expected, `${size} to ${newSize}`);
  }
});

test("resizeImage() yields while it works and stops when aborted", async () => {
  const controller = new AbortController();
  let yields = 0;
  const yieldToEventLoop = () => {
    yields++;
    controller.abort(new Error("enough"));
    return Promise.resolve();
  };
  const large = picture(3000, 3000);
  const size = { width: 1500, height: 1500 };
  await assert.rejects(
    resizeImage(large, size, { yieldToEventLoop, signal: controller.signal }),
    /enough/,
  );
  assert.equal(yields, 1);
  // The codecs still work.
  const { data } = await resizeImage(picture(2, 2), { width: 2, height: 2 });
  assert.deepEqual([...data], [...noise(12)]);
});

test("resizeImage() refuses sizes that cannot be", async () => {
  const good = picture(2, 2);
  for (
    const size of [{ width: 0, height: 1 }, { width: 1, height: -1 }, {
      width: 2 ** 31,
      height: 2 ** 31,
    }]
  ) {
    await assert.rejects(resizeImage(good, size), InputError);
  }
  await assert.rejects(
    resizeImage({ ...good, width: 3 }, { width: 1, height: 1 }),
    { name: "InputError", message: /takes 18 bytes, the data has 12/ },
  );
});
