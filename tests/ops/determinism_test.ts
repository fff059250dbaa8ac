// Every device must give a row the same bits alone and inside a batch, and a
// prompt the same bits whole and in pieces. Only products and attention on a GPU
// may round differently: its kernels of few rows split a sum among threads, its
// tiles put rows together.
import { test } from "node:test";
import type { CacheDtype } from "../../src/core/dtype.ts";
import type { Segment } from "../../src/ops/ops.ts";
import type { Step, TestDevice, TestTensor } from "../testing.ts";
import {
  assertClose,
  asWeight,
  devices,
  randomTensor,
  runOps,
  setUp,
} from "../testing.ts";

/** Rows `first .. end` of the first dimension. */
function rows(x: TestTensor, first: number, end: number): TestTensor {
  const size = x.data.length / x.shape[0]!;
  return {
    shape: [end - first, ...x.shape.slice(1)],
    data: x.data.slice(first * size, end * size),
  };
}

/** No tolerance. */
function assertSame(
  actual: TestTensor,
  expected: TestTensor,
  label: string,
): void {
  assertClose(actual.data, expected.data, { label });
}

const BATCH = 9;
/** Of the largest result, on a GPU: what float32 sums in another order may be off. */
const GPU_SUMS = 3e-6;
/** The same for means of values below 1 by exponentials of such sums. */
const GPU_ATTENTION = 3e-6;

function testMatmul(target: TestDevice): void {
  const isGpu = target.kind === "webgpu";
  test(
    `matmul on ${target.name} gives a row the same ${
      isGpu ? "sums" : "bits"
    } in any batch`,
    async () => {
      for (const [width, outputs] of [[33, 9], [64, 65], [2048, 31]] as const) {
        const x = randomTensor([BATCH, width], { seed: width });
        const w = randomTensor([outputs, width], { seed: outputs });
        const run = (x: TestTensor) =>
          runOps(target, {
            weights: { w: asWeight("matrix", w) },
            record: ({ ops, weights, upload }) =>
              ops.matmul(upload(x), weights.w),
          });
        const whole = await run(x);
        const largest = whole.data.reduce(
          (m, v) => Math.max(m, Math.abs(v)),
          0,
        );
        const atol = isGpu ? GPU_SUMS * largest : 0;
        for (const [first, end] of [[0, 1], [8, 9], [3, 5], [2, 9]] as const) {
          const label =
            `rows ${first}..${end} of [${BATCH},${width}], ${outputs} outputs`;
          const part = await run(rows(x, first, end));
          assertClose(part.data, rows(whole, first, end).data, { atol, label });
        }
      }
    },
  );
}

function testRmsNorm(target: TestDevice): void {
  test(`rmsNorm on ${target.name} gives a row the same bits in any batch`, async () => {
    for (const width of [7, 33, 2048]) {
      const x = randomTensor([BATCH, width], { seed: width });
      const run = (x: TestTensor) =>
        runOps(target, {
          record: ({ ops, upload }) => ops.rmsNorm(upload(x), undefined, 1e-6),
        });
      const whole = await run(x);
      for (let t = 0; t < BATCH; t++) {
        const label = `row ${t} of width ${width}`;
        assertSame(await run(rows(x, t, t + 1)), rows(whole, t, t + 1), label);
      }
    }
  });
}

/** Feeds a prompt in pieces through one layer's store; `beside` adds a second sequence. */
async function attend(
  target: TestDevice,
  prompt: { q: TestTensor; k: TestTensor; v: TestTensor },
  dtype: CacheDtype,
  pieces: readonly number[],
  window: number | undefined,
  beside: boolean,
): Promise<TestTensor> {
  const { q, k, v } = prompt;
  const [length, heads, headDim] = q.shape as [number, number, number];
  const spec = { capacity: length + 5, kvHeads: k.shape[1]!, headDim, dtype };
  const other = 2;
  const steps: { first: number; segments: Segment[] }[] = [];
  let first = 0;
  for (const [i, piece] of pieces.entries()) {
    const firstRow = beside ? other : 0;
    const segments = [{ firstRow, rows: piece, firstPosition: first }];
    if (beside) {
      segments.unshift({ firstRow: 0, rows: other, firstPosition: i * other });
    }
    steps.push({ first, segments });
    first += piece;
  }
  const record = (
    { first, segments }: (typeof steps)[number],
    { ops, stores, upload }: Step<Record<never, never>>,
  ) => {
    const piece = segments.at(-1)!.rows;
    const take = (x: TestTensor) => {
      const own = upload(rows(x, first, first + piece));
      if (!beside) return own;
      // The other sequence reads the prompt from its start.
      const index = Int32Array.from(
        { length: other + piece },
        (_, t) => t < other ? piece + t : t - other,
      );
      return ops.gatherRows([own, upload(rows(x, 0, other))], index);
    };
    const own = beside ? [stores[1]!, stores[0]!] : [stores[0]!];
    ops.appendKv(own, segments, take(k), take(v));
    const y = ops.attention(take(q), own, segments, {
      heads,
      window,
      scale: 0.5,
    });
    const keep = Int32Array.from(
      { length: piece },
      (_, t) => t + segments.at(-1)!.firstRow,
    );
    return ops.gatherRows([y], keep);
  };
  const setup = await setUp(target, {
    kv: [spec, spec],
    plan: (step) => {
      for (const one of steps) record(one, step);
    },
  });
  await using device = setup.device;
  const data = new Float32Array(q.data.length);
  for (const step of steps) {
    const [result] = await device.read([record(step, setup)]);
    data.set(result!, step.first * heads * headDim);
  }
  return { shape: q.shape, data };
}

function testAttention(target: TestDevice): void {
  const isGpu = target.kind === "webgpu";
  const atol = isGpu ? GPU_ATTENTION : 0;
  const what = isGpu ? "means" : "bits";
  for (const dtype of ["f32", "q8"] as const) {
    if (!isGpu || dtype === "f32") testPieces(target, dtype, what, atol);
  }
}

function testPieces(
  target: TestDevice,
  dtype: CacheDtype,
  what: string,
  atol: number,
): void {
  test(`appendKv, attention in ${dtype} on ${target.name} give a prompt the same ${what} whole and in pieces`, async () => {
    for (const headDim of [6, 16]) {
      const length = 37;
      const prompt = {
        q: randomTensor([length, 4, headDim], { seed: 1, scale: 2 }),
        k: randomTensor([length, 2, headDim], { seed: 2 }),
        v: randomTensor([length, 2, headDim], { seed: 3 }),
      };
      for (const window of [undefined, 7]) {
        const whole = await attend(
          target,
          prompt,
          dtype,
          [length],
          window,
          false,
        );
        for (
          const pieces of [
            [36, 1],
            [1, 8, 9, 16, 3],
            Array.from({ length }, () => 1),
          ]
        ) {
          for (const beside of [false, true]) {
            const actual = await attend(
              target,
              prompt,
              dtype,
              pieces,
              window,
              beside && pieces.length * 2 <= length,
            );
            const label = `head ${headDim}, window ${window}, ` +
              `pieces ${pieces}, beside ${beside}`;
            assertClose(actual.data, whole.data, { atol, label });
          }
        }
      }
    }
  });
}

for (const target of await devices()) {
  testMatmul(target);
  testRmsNorm(target);
  testAttention(target);
}
