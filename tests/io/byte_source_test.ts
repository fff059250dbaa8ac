import { test } from "node:test";
import assert from "node:assert/strict";

import { CheckpointError } from "../../src/core/errors.ts";
import {
  blobSource,
  type ByteSource,
  bytesSource,
  fileSource,
} from "../../src/io/byte_source.ts";
import type { PlatformFile } from "../../src/platform/platform.ts";

const BYTES = Uint8Array.from({ length: 37 }, (_, i) => i);

function memoryFile(bytes: Uint8Array, size = bytes.length): PlatformFile {
  return {
    size,
    // deno-lint-ignore require-await
    async read(offset, length, into = new Uint8Array(length)) {
      const part = bytes.subarray(offset, offset + length);
      into.set(part);
      return into.subarray(0, part.length);
    },
    close: () => Promise.resolve(),
  };
}

const SOURCES: [string, () => ByteSource][] = [
  ["bytesSource()", () => bytesSource("x", BYTES)],
  ["fileSource()", () => fileSource("x", memoryFile(BYTES))],
  ["blobSource()", () => blobSource("x", new Blob([BYTES]))],
];

for (const [name, make] of SOURCES) {
  test(`${name} reads any range`, async () => {
    const source = make();
    assert.equal(source.size, 37);
    for (
      const [offset, length] of [[0, 37], [0, 0], [37, 0], [5, 1], [30, 7]]
    ) {
      const part = await source.read(offset!, length!);
      assert.deepEqual(part, BYTES.slice(offset, offset! + length!));
    }
  });

  test(`${name} reads into the start of a shared array and nothing beyond`, async () => {
    const into = new Uint8Array(new SharedArrayBuffer(10)).fill(99);
    const part = await make().read(3, 4, into);
    assert.equal(part.buffer, into.buffer);
    assert.deepEqual([...part], [3, 4, 5, 6]);
    assert.deepEqual([...into], [3, 4, 5, 6, 99, 99, 99, 99, 99, 99]);
  });

  test(`${name} rejects with a CheckpointError beyond the end`, async () => {
    for (const [offset, length] of [[37, 1], [0, 38], [1000, 0]]) {
      await assert.rejects(make().read(offset!, length!), (error: unknown) => {
        assert.ok(error instanceof CheckpointError);
        assert.match(error.message, /the file has 37 bytes/);
        return true;
      });
    }
  });

  test(`${name} rejects with a RangeError when numbers or target do not fit`, async () => {
    await assert.rejects(make().read(-1, 1), RangeError);
    await assert.rejects(make().read(0, 1.5), RangeError);
    await assert.rejects(make().read(0, NaN), RangeError);
    await assert.rejects(make().read(0, 5, new Uint8Array(4)), RangeError);
  });
}

test("fileSource() rejects when the file has become shorter", async () => {
  const source = fileSource("x", memoryFile(BYTES.subarray(0, 20), 37));
  await assert.rejects(source.read(10, 20), CheckpointError);
});
