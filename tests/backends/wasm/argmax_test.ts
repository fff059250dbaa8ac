// Ids that the kernels choose are those that the host chooses.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createWasmDevice } from "../../../src/backends/wasm/device.ts";
import { argmax } from "../../../src/generation/choice.ts";
import type { Device } from "../../../src/ops/device.ts";
import {
  createThreadedDevice,
  randomTensor,
  testPlatform,
} from "../../testing.ts";

/** Around a vector, a block of them and a part; and the real one. */
const VOCABULARIES = [1, 3, 4, 5, 15, 17, 4095, 4096, 4097, 20001, 262400];
const ROWS = 3;
const MOST = Math.max(...VOCABULARIES);

async function withRoom(device: Device): Promise<Device> {
  device.plan(() => {
    const logits = device.upload(new Float32Array(ROWS * MOST), [ROWS, MOST]);
    return [device.ops.argmax!(logits)];
  });
  await device.allocate();
  return device;
}

/** What a device chooses of each row. */
async function choose(
  device: Device,
  rows: readonly Float32Array[],
): Promise<number[]> {
  const size = rows[0]!.length;
  const all = new Float32Array(rows.length * size);
  rows.forEach((row, i) => all.set(row, i * size));
  const logits = device.upload(all, [rows.length, size]);
  const [ids] = await device.read([device.ops.argmax!(logits)]);
  return [...ids!];
}

const TARGETS = {
  "one thread": () => createWasmDevice({ platform: testPlatform }),
  "two threads": () => createThreadedDevice(2),
};

for (const [name, create] of Object.entries(TARGETS)) {
  test(`argmax() with ${name} chooses as the host does`, async () => {
    await using device = await withRoom(await create());
    for (const size of VOCABULARIES) {
      const rows = Array.from(
        { length: ROWS },
        (_, i) => randomTensor([size], { seed: size + i }).data,
      );
      assert.deepEqual(await choose(device, rows), rows.map(argmax), `${size}`);
    }
  });

  test(`argmax() with ${name} takes the first of equals, wherever they are`, async () => {
    await using device = await withRoom(await create());
    for (const size of VOCABULARIES) {
      const places = [0, Math.floor(size / 2), size - 1];
      const rows = places.map((place) => {
        const row = randomTensor([size], { seed: size }).data;
        for (const i of places) if (i >= place) row[i] = 2;
        return row;
      });
      assert.deepEqual(await choose(device, rows), places, `${size}`);
    }
  });

  test(`argmax() with ${name} gives -1 where nothing can be chosen`, async () => {
    await using device = await withRoom(await create());
    for (const size of VOCABULARIES) {
      const hasNaN = randomTensor([size], { seed: 1 }).data;
      hasNaN[size >> 1] = NaN;
      const least = new Float32Array(size).fill(-Infinity);
      const infinite = least.slice();
      infinite[size - 1] = Infinity;
      assert.deepEqual(
        await choose(device, [hasNaN, least, infinite]),
        [-1, -1, size - 1],
        `${size}`,
      );
    }
  });
}

test("argmax() of no rows gives no ids", async () => {
  await using device = await withRoom(
    await createWasmDevice({ platform: testPlatform }),
  );
  const logits = device.upload(new Float32Array(0), [0, 5]);
  const [ids] = await device.read([device.ops.argmax!(logits)]);
  assert.equal(ids!.length, 0);
});
