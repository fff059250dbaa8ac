// appendKv and attention: rings, windows, grouped heads, ragged batches.
import assert from "node:assert/strict";
import { test } from "node:test";
import { InputError, UnsupportedError } from "../../src/core/errors.ts";
import type { KvSpec, Segment } from "../../src/ops/ops.ts";
import type { Step, TestDevice, TestTensor } from "../testing.ts";
import {
  assertClose,
  devices,
  randomTensor,
  runOps,
  setUp,
  tensor,
} from "../testing.ts";
import {
  golden,
  type ParityCase,
  reference,
  testGolden,
  testParity,
} from "./parity.ts";

/** Scores of up to 256 products, exponentials, a weighted mean of values below 1. */
const TOLERANCE = { rtol: 1e-5, atol: 2e-6 };

for (
  const [name, window] of [["attention", undefined], [
    "attentionWindow",
    3,
  ]] as const
) {
  testGolden(name, {
    kv: [{ capacity: 7, kvHeads: 2, headDim: 6 }],
    record: ({ ops, stores, upload }) => {
      const [q, k, v] = ["q", "k", "v"].map((key) => upload(golden(name, key)));
      const segments = [{ firstRow: 0, rows: 7, firstPosition: 0 }];
      ops.appendKv(stores, segments, k!, v!);
      return ops.attention(q!, stores, segments, {
        heads: 4,
        window,
        scale: 0.7,
      });
    },
  });
}

/** A prompt fed in pieces, with several sequences side by side. */
interface Scenario {
  readonly label: string;
  readonly heads: number;
  readonly window: number | undefined;
  readonly spec: KvSpec;
  /** Rows of each sequence in each step; 0 leaves a sequence out. */
  readonly steps: readonly (readonly number[])[];
}

/** Values of a sequence's row depend on the sequence and the position alone. */
function rowsOf(
  segments: Segment[],
  sequences: number[],
  heads: number,
  width: number,
  what: number,
): TestTensor {
  const rows = segments.flatMap(({ rows, firstPosition }, i) =>
    Array.from({ length: rows }, (_, row) =>
      randomTensor([heads, width], {
        seed: (firstPosition + row) * 31 + sequences[i]! * 7 + what * 100_003,
        scale: 1.5,
      }))
  );
  const data = new Float32Array(rows.length * heads * width);
  for (const [i, row] of rows.entries()) data.set(row.data, i * heads * width);
  return { shape: [rows.length, heads, width], data };
}

function stepsOf(scenario: Scenario) {
  const { heads, spec: { kvHeads, headDim } } = scenario;
  const lengths = scenario.steps[0]!.map(() => 0);
  return scenario.steps.map((rows) => {
    const segments: Segment[] = [];
    const sequences: number[] = [];
    let firstRow = 0;
    for (const [sequence, count] of rows.entries()) {
      if (count === 0) continue;
      segments.push({
        firstRow,
        rows: count,
        firstPosition: lengths[sequence]!,
      });
      sequences.push(sequence);
      firstRow += count;
      lengths[sequence]! += count;
    }
    return {
      segments,
      sequences,
      q: rowsOf(segments, sequences, heads, headDim, 0),
      k: rowsOf(segments, sequences, kvHeads, headDim, 1),
      v: rowsOf(segments, sequences, kvHeads, headDim, 2),
    };
  });
}

/** Runs all steps and returns their results one after another. */
async function runScenario(
  target: TestDevice,
  scenario: Scenario,
): Promise<Float32Array[]> {
  const { heads, window, spec } = scenario;
  const steps = stepsOf(scenario);
  const options = { heads, window, scale: 0.5 };
  const record = (
    { segments, sequences, q, k, v }: ReturnType<typeof stepsOf>[number],
    { ops, stores, upload }: Step<Record<never, never>>,
  ) => {
    const own = sequences.map((sequence) => stores[sequence]!);
    ops.appendKv(own, segments, upload(k), upload(v));
    return ops.attention(upload(q), own, segments, options);
  };
  const setup = await setUp(target, {
    kv: scenario.steps[0]!.map(() => spec),
    plan: (step) => {
      for (const one of steps) record(one, step);
    },
  });
  await using device = setup.device;
  const results: Float32Array[] = [];
  for (const step of steps) {
    const [result] = await device.read([record(step, setup)]);
    results.push(result!);
  }
  return results;
}

const SCENARIOS: readonly Scenario[] = [
  {
    label: "one row at a time through a ring that wraps",
    heads: 4,
    window: 5,
    spec: { capacity: 5, kvHeads: 2, headDim: 8 },
    steps: Array.from({ length: 13 }, () => [1]),
  },
  {
    label: "pieces of a prompt through a ring of window - 1 + chunk",
    heads: 8,
    window: 16,
    spec: { capacity: 23, kvHeads: 2, headDim: 16 },
    steps: [[8], [8], [8], [5], [7], [8], [1], [1]],
  },
  {
    label: "three sequences of different lengths",
    heads: 6,
    window: undefined,
    spec: { capacity: 70, kvHeads: 3, headDim: 10 },
    steps: [[9, 1, 33], [1, 1, 1], [0, 5, 0], [1, 0, 31], [1, 1, 1]],
  },
  {
    label: "three sequences, window, wrapping",
    heads: 2,
    window: 7,
    spec: { capacity: 15, kvHeads: 1, headDim: 4 },
    steps: [[9, 1, 4], [3, 9, 9], [1, 1, 1], [9, 2, 5]],
  },
  {
    label: "enough keys for a GPU to split them",
    heads: 4,
    window: undefined,
    spec: { capacity: 303, kvHeads: 2, headDim: 12 },
    steps: [[300], [1], [1]],
  },
  {
    label: "enough keys in a window that wraps",
    heads: 3,
    window: 260,
    spec: { capacity: 289, kvHeads: 1, headDim: 5 },
    steps: [[30, 1], ...Array.from({ length: 9 }, () => [30, 30]), [1, 1]],
  },
  {
    label: "chunks that meet a window in tiles",
    heads: 8,
    window: 40,
    spec: { capacity: 89, kvHeads: 2, headDim: 64 },
    steps: [[50], [50], [13]],
  },
  {
    label: "a head of 256 and 65 keys",
    heads: 2,
    window: undefined,
    spec: { capacity: 66, kvHeads: 2, headDim: 256 },
    steps: [[65], [1]],
  },
];

/** Attention over the whole history at once, without rings. */
function naive(scenario: Scenario): number[][] {
  const { heads, window = Infinity, spec: { kvHeads, headDim } } = scenario;
  const history = scenario.steps[0]!.map(() => ({
    k: [] as number[],
    v: [] as number[],
  }));
  const size = kvHeads * headDim;
  return stepsOf(scenario).map(({ segments, sequences, q, k, v }) => {
    const out: number[] = [];
    for (const [i, { firstRow, rows, firstPosition }] of segments.entries()) {
      const past = history[sequences[i]!]!;
      past.k.push(
        ...k.data.subarray(firstRow * size, (firstRow + rows) * size),
      );
      past.v.push(
        ...v.data.subarray(firstRow * size, (firstRow + rows) * size),
      );
      for (let row = 0; row < rows; row++) {
        const p = firstPosition + row;
        for (let n = 0; n < heads; n++) {
          const head = Math.floor(n / (heads / kvHeads));
          const query = q.data.subarray(
            ((firstRow + row) * heads + n) * headDim,
          );
          const weights = Array.from({ length: p + 1 }, (_, s) => {
            if (p - s >= window) return 0;
            let dot = 0;
            for (let h = 0; h < headDim; h++) {
              dot += query[h]! * past.k[s * size + head * headDim + h]!;
            }
            return Math.exp(0.5 * dot);
          });
          const total = weights.reduce((a, b) => a + b, 0);
          for (let h = 0; h < headDim; h++) {
            out.push(
              weights.reduce(
                (sum, w, s) =>
                  sum + w / total * past.v[s * size + head * headDim + h]!,
                0,
              ),
            );
          }
        }
      }
    }
    return out;
  });
}

for (const scenario of SCENARIOS) {
  test(`appendKv, attention on the reference: ${scenario.label}`, async () => {
    const actual = await runScenario(reference, scenario);
    for (const [i, expected] of naive(scenario).entries()) {
      assertClose(actual[i]!, expected, { ...TOLERANCE, label: `step ${i}` });
    }
  });
}

testParity(
  "appendKv, attention",
  TOLERANCE,
  SCENARIOS.map((scenario): ParityCase => ({
    label: scenario.label,
    run: async (target) => {
      const steps = await runScenario(target, scenario);
      const data = Float32Array.from(steps.flatMap((step) => [...step]));
      return { shape: [data.length], data };
    },
  })),
);

/** How stores keep numbers that are not float32. */
const SHORT_DTYPES = ["f16", "q8"] as const;

for (const target of await devices()) {
  for (const dtype of SHORT_DTYPES) {
    if (target.kind === "webgpu" && dtype === "q8") continue;
    testShort(target, dtype);
  }
}

function testShort(target: TestDevice, dtype: typeof SHORT_DTYPES[number]) {
  if (target !== reference) {
    test(`stores of ${dtype} on ${target.name} hold what the reference holds`, async () => {
      // A GPU in software takes seconds to compile a kernel.
      const few = target.kind === "webgpu";
      const scenarios = SCENARIOS.filter(({ window }) => window || !few);
      for (const scenario of scenarios) {
        const short = { ...scenario, spec: { ...scenario.spec, dtype } };
        const expected = await runScenario(reference, short);
        const found = await runScenario(target, short);
        found.forEach((step, i) =>
          assertClose(step, expected[i]!, {
            ...TOLERANCE,
            label: `${scenario.label}, step ${i}`,
          })
        );
      }
    });
  }

  test(`what ${dtype} cannot keep does not pass for a number on ${target.name}`, async () => {
    const kv = { capacity: 8, kvHeads: 1, headDim: 4, dtype };
    await using run = await oneKey(target, kv);
    assertClose(await run.at(0, 2), [1, 1, 1, 1], { label: "a number" });
    assert.ok((await run.at(1, NaN)).every(Number.isNaN));
    assert.ok((await run.at(2, 2)).every(Number.isNaN));
    assertClose(await run.at(0, 2), [1, 1, 1, 1], {
      label: "another sequence",
    });
    assert.ok((await run.at(1, Infinity)).every(Number.isNaN));
  });
}

/** Attention of a row of ones over keys of four times a number, and values of ones. */
async function oneKey(target: TestDevice, spec: KvSpec) {
  const record = (
    { ops, stores, upload }: Step<Record<never, never>>,
    firstPosition: number,
    value: number,
  ) => {
    const segments = [{ firstRow: 0, rows: 1, firstPosition }];
    const x = upload(tensor([1, 1, 4], [value, 1, 1, 1]));
    const q = upload(tensor([1, 1, 4], [1, 1, 1, 1]));
    ops.appendKv(stores, segments, x, q);
    const options = { heads: 1, window: undefined, scale: 1 };
    return ops.attention(q, stores, segments, options);
  };
  const setup = await setUp(target, {
    kv: [spec],
    plan: (step) => void record(step, 0, 1),
  });
  return {
    at: async (position: number, value: number) =>
      (await setup.device.read([record(setup, position, value)]))[0]!,
    [Symbol.asyncDispose]: () => setup.device[Symbol.asyncDispose](),
  };
}

for (const target of await devices()) {
  if (target.kind === "webgpu") {
    test("a GPU refuses stores of q8, and says what there is", async () => {
      await using device = await target.create();
      const spec = {
        capacity: 8,
        kvHeads: 1,
        headDim: 4,
        dtype: "q8",
      } as const;
      assert.throws(
        () => device.reserveKv([spec]),
        (error) =>
          error instanceof UnsupportedError &&
          /cacheDtype "f16".*device "wasm"/.test(error.message),
      );
    });
    continue;
  }
  test(`a row of q8 is rounded to multiples of its own scale on ${target.name}`, async () => {
    const kv = { capacity: 1, kvHeads: 3, headDim: 5, dtype: "q8" } as const;
    const shape = [1, 3, 5];
    // Scales 1, 0.5 and 0; ties go to even multiples.
    const given = [127, 0.5, 1.5, -2.5, 3.4];
    const values = [...given, ...given.map((x) => -x / 2), 0, 0, 0, 0, 0];
    const kept = [127, 0, 2, -2, 3];
    const x = tensor(shape, values);
    const found = await runOps(target, {
      kv: [kv],
      record: ({ ops, stores, upload }) => {
        const segments = [{ firstRow: 0, rows: 1, firstPosition: 0 }];
        ops.appendKv(stores, segments, upload(x), upload(x));
        // One key alone has the whole weight.
        const options = { heads: 3, window: undefined, scale: 1 };
        return ops.attention(upload(x), stores, segments, options);
      },
    });
    const wanted = [...kept, ...kept.map((x) => -x / 2), 0, 0, 0, 0, 0];
    assertClose(found.data, wanted, {
      label: "values",
      rtol: 1e-7,
      atol: 1e-30,
    });
  });
}

test("attention on the reference sees nothing outside its window", async () => {
  const kv = { capacity: 4, kvHeads: 1, headDim: 2 };
  const actual = await runOps(reference, {
    kv: [kv],
    record: ({ ops, stores, upload }) => {
      const segments = [{ firstRow: 0, rows: 3, firstPosition: 0 }];
      const values = tensor([3, 1, 2], [1e30, 1e30, 2, 3, 4, 5]);
      ops.appendKv(
        stores,
        segments,
        upload(tensor([3, 1, 2], [9, 9, 0, 0, 0, 0])),
        upload(values),
      );
      const q = upload(tensor([1, 1, 2], [1, 1]));
      return ops.attention(q, stores, [{
        firstRow: 0,
        rows: 1,
        firstPosition: 2,
      }], {
        heads: 1,
        window: 2,
        scale: 1,
      });
    },
  });
  assertClose(actual.data, [3, 4], { label: "mean of the last two values" });
});

test("attention on the reference refuses positions that were never appended or overwritten", async () => {
  const spec = { capacity: 4, kvHeads: 1, headDim: 2 };
  const { device, ops, stores, upload } = await setUp(reference, {
    kv: [spec],
    plan: () => {},
  });
  const q = randomTensor([1, 1, 2], { seed: 1 });
  const options = { heads: 1, window: 3, scale: 1 };
  const at = (
    firstPosition: number,
  ) => [{ firstRow: 0, rows: 1, firstPosition }];
  const append = (position: number) =>
    ops.appendKv(stores, at(position), upload(q), upload(q));

  for (const position of [0, 1, 2]) append(position);
  const missing = ops.attention(upload(q), stores, at(3), options);
  await assert.rejects(
    device.read([missing]),
    (error: unknown) =>
      error instanceof InputError && /position 3 is not in/.test(error.message),
  );

  for (const position of [3, 4, 5]) append(position);
  const overwritten = ops.attention(upload(q), stores, at(3), options);
  await assert.rejects(device.read([overwritten]), InputError);

  const fine = ops.attention(upload(q), stores, at(5), options);
  assertClose((await device.read([fine]))[0]!, q.data, {
    rtol: 1e-6,
    label: "all keys alike",
  });
});
