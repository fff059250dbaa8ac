// Tokens chosen on the GPU are those that the host chooses, and stay there.
import assert from "node:assert/strict";
import { test } from "node:test";

import { InputError } from "../../../src/core/errors.ts";
import type { NoiseKey, TokenSampling } from "../../../src/core/random.ts";
import { argmax, sampleToken } from "../../../src/generation/choice.ts";
import {
  applyTemperature,
  keepTopK,
  keepTopP,
} from "../../../src/generation/warpers.ts";
import type { Device } from "../../../src/ops/device.ts";
import {
  assertClose,
  asWeight,
  devices,
  randomTensor,
  setUp,
  type TestDevice,
  testGpu,
  type TestTensor,
} from "../../testing.ts";

const SLOTS = 3;
const ROWS = 4;
/** Around a vector, a workgroup and a chunk; and the real one. */
const VOCABULARIES = [1, 2, 3, 63, 65, 257, 4095, 4096, 4097, 20001, 262400];

/** A device with room for tokens and rows of `vocab` logits. */
async function tokenDevice(
  target: TestDevice,
  rows: number,
  vocab: number,
): Promise<Device> {
  const device = await target.create();
  device.tokens!.reserve(SLOTS, ROWS);
  const logits = new Float32Array(rows * vocab);
  device.plan(() => {
    const tokens = device.tokens!;
    const x = device.upload(logits, [rows, vocab]);
    const keys = Array.from({ length: rows }, () => noiseKey(0, 0));
    tokens.argmax(x, SLOTS - 1);
    for (const sampling of SAMPLINGS) tokens.sample(x, 0, keys, sampling);
    return [tokens.chosen(ROWS)];
  });
  await device.allocate();
  return device;
}

/** What a device chooses of each row. */
async function choose(device: Device, logits: TestTensor): Promise<number[]> {
  const { tokens } = device;
  tokens!.argmax(device.upload(logits.data, logits.shape), 0);
  const rows = logits.shape[0]!;
  const [ids] = await device.read([tokens!.chosen(rows)]);
  return [...ids!.subarray(0, rows)];
}

/** Ways to sample: of all ids, of some, of a nucleus. */
const SAMPLINGS: readonly TokenSampling[] = [
  { temperature: 1, topK: 0, topP: 1 },
  { temperature: 0.7, topK: 0, topP: 1 },
  { temperature: 1, topK: 64, topP: 0.95 },
  { temperature: 1.3, topK: 50, topP: 1 },
  { temperature: 0.2, topK: 128, topP: 0.5 },
  { temperature: 2, topK: 1, topP: 1e-6 },
];
const SEEDS = 8;

function noiseKey(seed: number, row: number): NoiseKey {
  return { seed: seed * 2 ** 33 + 7 * row, step: seed + row, stream: row % 3 };
}

/** What a device samples of each row. */
async function sample(
  device: Device,
  { data, shape }: TestTensor,
  sampling: TokenSampling,
  seed: number,
): Promise<number[]> {
  const rows = shape[0]!;
  const keys = Array.from({ length: rows }, (_, row) => noiseKey(seed, row));
  const tokens = device.tokens!;
  tokens.sample(device.upload(data, shape), 0, keys, sampling);
  const [ids] = await device.read([tokens.chosen(rows)]);
  return [...ids!.subarray(0, rows)];
}

/** Fails where a device decides otherwise than the host; counts what it leaves to the host. */
async function assertSamples(
  device: Device,
  logits: TestTensor,
  sampling: TokenSampling,
  seed: number,
): Promise<number> {
  const [rows, vocab] = logits.shape as [number, number];
  const ids = await sample(device, logits, sampling, seed);
  for (let row = 0; row < rows; row++) {
    if (ids[row] === -2) continue;
    const own = logits.data.slice(row * vocab, (row + 1) * vocab);
    const expected = hostSample(own, sampling, noiseKey(seed, row));
    const label = `V = ${vocab}, seed ${seed}, row ${row}, ${
      JSON.stringify(sampling)
    }`;
    assert.equal(ids[row], expected, label);
  }
  return ids.filter((id) => id === -2).length;
}

function hostSample(
  logits: Float32Array,
  { temperature, topK, topP }: TokenSampling,
  key: NoiseKey,
): number {
  const context = { inputIds: new Int32Array(0), promptLength: 0 };
  if (temperature !== 1) applyTemperature(temperature)(logits, context);
  if (topK > 0) keepTopK(topK)(logits, context);
  if (topP < 1) keepTopP(topP)(logits, context);
  return sampleToken(logits, key);
}

const context = await testGpu();
const target = (await devices()).find(({ kind }) => kind === "webgpu");
if (context && target) {
  test("argmax() chooses as the host does, whatever the vocabulary", async () => {
    for (const vocab of VOCABULARIES) {
      const rows = vocab > 1e5 ? 1 : ROWS;
      await using device = await tokenDevice(target, rows, vocab);
      for (const seed of [1, 2]) {
        const logits = randomTensor([rows, vocab], { seed, scale: 30 });
        const expected = Array.from(
          { length: rows },
          (_, t) => argmax(logits.data.subarray(t * vocab, (t + 1) * vocab)),
        );
        const label = `V = ${vocab}, seed ${seed}`;
        assert.deepEqual(await choose(device, logits), expected, label);
      }
    }
  });

  test("argmax() takes the first of equals, and tells rows without a choice", async () => {
    const vocab = 9001;
    await using device = await tokenDevice(target, 1, vocab);
    const row = (values: Record<number, number>, others = -5) => {
      const data = new Float32Array(vocab).fill(others);
      for (const [i, value] of Object.entries(values)) data[Number(i)] = value;
      return { shape: [1, vocab], data };
    };
    const cases: [TestTensor, number][] = [
      [row({ 17: 3, 300: 3, 4100: 3, 9000: 3 }), 17],
      [row({ 4100: 3, 9000: 3 }), 4100],
      [row({}), 0],
      [row({ 8: -0, 5000: 0 }, -1), 8],
      [row({ 8: 0, 5000: -0 }, -1), 8],
      [row({ 100: 1e-40, 200: 2e-40 }, 0), 200],
      [row({ 7000: -3e38 }, -Infinity), 7000],
      [row({ 6999: Infinity }), 6999],
      [row({ 4095: NaN, 9: Infinity }), -1],
      [row({}, -Infinity), -1],
    ];
    for (const [logits, expected] of cases) {
      if (expected >= 0) assert.equal(argmax(logits.data), expected);
      else assert.throws(() => argmax(logits.data));
      assert.deepEqual(await choose(device, logits), [expected]);
    }
    // A NaN whose sign is set comes last in the order of its bits.
    const logits = row({});
    new Uint32Array(logits.data.buffer)[5] = 0xffc00001;
    assert.deepEqual(await choose(device, logits), [-1]);
  });

  test("sample() chooses as the host does, or leaves it to the host", async () => {
    for (const vocab of [1, 127, 4097, 20001]) {
      await using device = await tokenDevice(target, ROWS, vocab);
      for (const sampling of SAMPLINGS) {
        let undecided = 0;
        for (let seed = 1; seed <= SEEDS; seed++) {
          const logits = randomTensor([ROWS, vocab], { seed, scale: 20 });
          undecided += await assertSamples(device, logits, sampling, seed);
        }
        const label = `V = ${vocab}, ${JSON.stringify(sampling)}`;
        assert.ok(undecided <= 2, `${label}: ${undecided}`);
      }
    }
  });

  test("sample() never takes an id that the host would not, however many are equal", async () => {
    const vocab = 9000;
    await using device = await tokenDevice(target, ROWS, vocab);
    for (const sampling of SAMPLINGS) {
      for (let seed = 1; seed <= SEEDS; seed++) {
        const logits = randomTensor([ROWS, vocab], { seed, scale: 10 });
        // Steps of 2, 0.5, 0.125 and 1/32, a third of them forbidden, many near.
        const { data } = logits;
        for (let i = 0; i < data.length; i++) {
          const step = 2 ** (1 - 2 * Math.floor(i / vocab));
          data[i] = Math.round(data[i]! / step) * step + (i % 2) * 2e-7;
          if (i % 3 === 0) data[i] = -Infinity;
        }
        await assertSamples(device, logits, sampling, seed);
      }
    }
  });

  test("sample() tells rows without a choice", async () => {
    const vocab = 5000;
    await using device = await tokenDevice(target, 1, vocab);
    const row = (place: number, value: number, others: number) => {
      const data = new Float32Array(vocab).fill(others);
      data[place] = value;
      return { shape: [1, vocab], data };
    };
    for (const sampling of SAMPLINGS) {
      for (
        const [logits, expected] of [
          [row(4500, NaN, 1), -1],
          [row(0, NaN, -Infinity), -1],
          [row(0, -Infinity, -Infinity), -1],
          [row(17, Infinity, 1), -2],
          [row(4999, -1e30, -Infinity), 4999],
        ] as const
      ) {
        const [id] = await sample(device, logits, sampling, 1);
        assert.equal(id, expected, JSON.stringify(sampling));
      }
    }
  });

  test("canSample() refuses what only the host does", async () => {
    await using device = await tokenDevice(target, 1, 8);
    const tokens = device.tokens!;
    const logits = device.upload(new Float32Array(8), [1, 8]);
    const keys = [noiseKey(1, 0)];
    for (
      const sampling of [
        { temperature: 1, topK: 0, topP: 0.9 },
        { temperature: 1, topK: 1000, topP: 1 },
      ]
    ) {
      assert.equal(tokens.canSample(sampling), false);
      assert.throws(
        () => tokens.sample(logits, 0, keys, sampling),
        /for the host/,
      );
    }
    const sampling = SAMPLINGS[0]!;
    assert.throws(() => tokens.sample(logits, 0, [], sampling), /wanted 1/);
    device.discard();
  });

  test("embedding() looks up what earlier steps chose, in every format", async () => {
    const [vocab, width] = [70, 64];
    const table = randomTensor([vocab, width], { seed: 3 });
    const ids = [69, 0, 33, 69];
    for (const format of ["f32", "q8", "q4"] as const) {
      const setup = await setUp({
        ...target,
        async create() {
          const device = await target.create();
          device.tokens!.reserve(SLOTS, ROWS);
          return device;
        },
      }, {
        weights: { table: asWeight("matrix", table, format) },
        plan({ ops, weights }) {
          ops.embedding(weights.table, new Int32Array(64 * ROWS), 1);
        },
      });
      await using device = setup.device;
      const tokens = device.tokens!;
      const logits = new Float32Array(ROWS * vocab);
      ids.forEach((id, t) => logits[t * vocab + id] = 1);
      tokens.argmax(device.upload(logits, [ROWS, vocab]), 1);
      await device.submit();
      // A slot between, to which this writes nothing.
      tokens.argmax(device.upload(logits.fill(-Infinity), [ROWS, vocab]), 2);
      tokens.write(Int32Array.from(ids), 0);
      const [actual, written, nearest, expected] = await device.read([
        tokens.embedding(setup.weights.table, 1, ROWS, 2.5),
        tokens.embedding(setup.weights.table, 0, ROWS, 2.5),
        tokens.embedding(setup.weights.table, 2, 1, 2.5),
        device.ops.embedding(setup.weights.table, Int32Array.from(ids), 2.5),
      ]);
      assertClose(actual!, expected!, { label: format });
      assertClose(written!, expected!, { label: `${format}, of the host` });
      const [first] = await device.read([
        device.ops.embedding(setup.weights.table, Int32Array.of(0), 2.5),
      ]);
      assertClose(nearest!, first!, { label: `${format}, no id` });
    }
  });

  test("embedding() looks up what a slot held when it was recorded", async () => {
    const [vocab, width] = [12, 8];
    const table = randomTensor([vocab, width], { seed: 3 });
    await using device = await target.create();
    const tokens = device.tokens!;
    tokens.reserve(1, 1);
    const weight = device.declareWeight({
      name: "table",
      kind: "matrix",
      shape: [vocab, width],
      format: "f32",
    });
    const logits = new Float32Array(vocab);
    logits[9] = 1;
    const record = () => {
      const row = tokens.embedding(weight, 0, 1, 1);
      tokens.argmax(device.upload(logits, [1, vocab]), 0);
      return [row, tokens.embedding(weight, 0, 1, 1)];
    };
    device.plan(record);
    await device.allocate();
    await device.writeWeight(weight, {
      firstRow: 0,
      rows: vocab,
      dtype: "f32",
      bytes: new Uint8Array(table.data.buffer),
    });
    tokens.write(Int32Array.of(5), 0);
    const rows = await device.read(record());
    for (const [i, id] of [5, 9].entries()) {
      const expected = table.data.subarray(id * width, (id + 1) * width);
      assertClose(rows[i]!, expected, { label: `row ${id}` });
    }
  });

  test("slots hold their ids until they are filled again", async () => {
    const vocab = 5000;
    await using device = await tokenDevice(target, 2, vocab);
    const tokens = device.tokens!;
    const expected: number[] = [];
    for (let slot = 0; slot < SLOTS; slot++) {
      const logits = randomTensor([2, vocab], { seed: slot });
      for (const t of [0, 1]) {
        expected.push(argmax(logits.data.subarray(t * vocab, (t + 1) * vocab)));
      }
      tokens.argmax(device.upload(logits.data, logits.shape), slot);
      await device.submit();
    }
    const [ids] = await device.read([tokens.chosen(2)]);
    assert.deepEqual([...ids!], expected);
  });

  test("slots that were not reserved are refused", async () => {
    await using device = await tokenDevice(target, 1, 8);
    const tokens = device.tokens!;
    const logits = device.upload(new Float32Array(8), [1, 8]);
    assert.throws(() => tokens.argmax(logits, SLOTS), InputError);
    assert.throws(() => tokens.chosen(ROWS + 1), InputError);
    const many = new Int32Array(ROWS + 1);
    assert.throws(() => tokens.write(many, 0), InputError);
    assert.throws(() => tokens.reserve(9, 9), /before allocate/);
    const flat = device.upload(new Float32Array(8), [8]);
    assert.throws(() => tokens.argmax(flat, 0), /wanted \[T,V\]/);
    device.discard();
  });
}
