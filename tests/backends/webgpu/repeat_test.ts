// Steps that repeat what an earlier one recorded give what recording it anew
// would, and do so only where they are alike.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createWebGpuDevice } from "../../../src/backends/webgpu/device.ts";
import { detectPlatform } from "../../../src/platform/detect.ts";
import { testGpu } from "../../testing.ts";

const WIDTH = 70;

/** The last row first, of the sum of two tensors `[rows, WIDTH]`, halved. */
function expectedOf(x: Float32Array, y: Float32Array): Float32Array {
  const rows = x.length / WIDTH;
  return x.map((_, i) => {
    const from = (rows - 1 - Math.floor(i / WIDTH)) * WIDTH + i % WIDTH;
    return (x[from]! + y[from]!) * 0.5;
  });
}

const valuesOf = (rows: number, first: number) =>
  Float32Array.from({ length: rows * WIDTH }, (_, i) => first + i % 97);

const context = await testGpu();
if (context) {
  test("repeat() repeats a step that is alike with other values, and no other step", async () => {
    const platform = await detectPlatform();
    await using device = createWebGpuDevice({ platform, context });
    const { ops } = device;
    const key = {};
    let recorded = 0;
    const record = (rows: number, first: number, isLater: boolean) => {
      const values = [
        valuesOf(rows, first),
        valuesOf(rows, 3 * first),
      ] as const;
      const before = isLater
        ? ops.scale(device.upload(valuesOf(1, 7), [1, WIDTH]), 3)
        : undefined;
      const [x, y] = values.map((data) => device.upload(data, [rows, WIDTH]));
      const part = ops.repeat!(key, [x!, y!], () => {
        recorded++;
        const backwards = Int32Array.from(
          { length: rows },
          (_, i) => rows - 1 - i,
        );
        return ops.gatherRows([ops.addScaled(x!, y!, 0.5)], backwards);
      });
      const after = ops.scale(part, 2);
      const results = [part, after, ...before ? [before] : []];
      return { values, results };
    };
    device.plan(() => record(5, 1, true).results);
    await device.allocate();
    recorded = 0;
    const steps = [
      { rows: 5, first: 1, wanted: 1 },
      { rows: 5, first: 100, wanted: 1 },
      { rows: 5, first: 1000, wanted: 1 },
      { rows: 3, first: 2, wanted: 2 },
      { rows: 3, first: 3, wanted: 2 },
      { rows: 5, first: 4, wanted: 3 },
      { rows: 5, first: 5, isLater: true, wanted: 4 },
      { rows: 5, first: 6, isLater: true, wanted: 4 },
      { rows: 5, first: 7, wanted: 5 },
    ];
    for (const { rows, first, isLater = false, wanted } of steps) {
      const { values, results } = record(rows, first, isLater);
      const [part, after, before] = await device.read(results);
      const expected = expectedOf(...values);
      assert.deepEqual(part, expected);
      assert.deepEqual(after, expected.map((x) => 2 * x));
      if (isLater) assert.deepEqual(before, valuesOf(1, 7).map((x) => 3 * x));
      assert.equal(recorded, wanted, `step from ${first} on`);
    }
  });

  test("repeat() records anew after a step that was dropped or failed", async () => {
    const platform = await detectPlatform();
    await using device = createWebGpuDevice({ platform, context });
    const { ops } = device;
    const key = {};
    const record = (first: number, fails = false) => {
      const x = device.upload(valuesOf(2, first), [2, WIDTH]);
      return ops.repeat!(key, [x], () => {
        const twice = ops.add(x, x);
        if (fails) throw new RangeError("as asked for");
        return ops.scale(twice, 0.25);
      });
    };
    device.plan(() => [record(0)]);
    await device.allocate();
    assert.throws(() => record(1, true), RangeError);
    device.discard();
    record(2);
    device.discard();
    for (const first of [3, 4]) {
      const [found] = await device.read([record(first)]);
      assert.deepEqual(found, valuesOf(2, first).map((x) => x / 2));
    }
  });
}
