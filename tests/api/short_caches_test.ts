// Keys and values in halves and in bytes beside float32 weights, against
// float32 throughout.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Gemma3nForConditionalGeneration } from "../../src/api/gemma3n_for_conditional_generation.ts";
import { UnsupportedError } from "../../src/core/errors.ts";
import { type HostTensor, hostTensor } from "../../src/core/tensor.ts";
import {
  expectedIds,
  expectedInputs,
  loadTiny,
  MODEL_DEVICES,
  type ModelDevice,
} from "../model.ts";
import { testGpu } from "../testing.ts";

/**
 * How far logits of `text` may move. Halves move them by 0.06 on the reference
 * device. Bytes round a row of 16 to multiples of its largest number over 127,
 * which is twice its root mean square here: steps of 1.6 % of that where those
 * of halves are 0.07 %, about 24 times as coarse, and logits move by 1.4.
 */
const MOST_MOVED = { f16: 0.1, q8: 2.4 } as const;

type ShortDtype = keyof typeof MOST_MOVED;

for (const device of MODEL_DEVICES) {
  for (const cacheDtype of ["f16", "q8"] as const) {
    if (device === "webgpu" && cacheDtype === "q8") continue;
    testMoved(device, cacheDtype);
  }
}

function testMoved(device: ModelDevice, cacheDtype: ShortDtype): void {
  test(`${cacheDtype} as keys and values leaves ids alone that are not close calls on ${device}`, async () => {
    const inputs = await expectedInputs("text");
    const [ids] = await expectedIds("text");
    const inputIds = await wholeText();
    await using float = await loadTiny(device, { cacheDtype: "f32" });
    await using short = await loadTiny(device, { cacheDtype });
    const { logits } = await float.forward({ inputIds });
    const found = await short.forward({ inputIds });
    const V = logits.shape[2]!;
    const T = inputs.inputIds.data.length;
    const movedAt = Array.from(inputIds.data, (_, t) => {
      const row = logits.data.subarray(t * V, (t + 1) * V);
      return row.reduce(
        (most, x, v) =>
          Math.max(most, Math.abs(x - found.logits.data[t * V + v]!)),
        0,
      );
    });
    const moved = Math.max(...movedAt);
    // What changes nothing would be floats.
    assert.ok(
      moved > MOST_MOVED[cacheDtype] / 10 && moved < MOST_MOVED[cacheDtype],
      `logits moved by ${moved}`,
    );

    const isClear = ids!.map((_, i) => {
      const t = T + i - 1;
      const row = logits.data.slice(t * V, (t + 1) * V).sort();
      return row[V - 1]! - row[V - 2]! > 2 * movedAt[t]!;
    });
    const clear = isClear.includes(false)
      ? isClear.indexOf(false)
      : ids!.length;
    assert.ok(clear > 0, "the first id is a close call");
    const { sequences } = await short.generate({
      ...inputs,
      maxNewTokens: ids!.length,
    });
    assert.deepEqual(
      [...sequences[0]!.subarray(T, T + clear)],
      ids!.slice(0, clear),
    );
  });
}

/** The prompt of `text` and its answer, `[1, T]`. */
async function wholeText(): Promise<HostTensor<"int32">> {
  const { inputIds } = await expectedInputs("text");
  const [ids] = await expectedIds("text");
  const whole = Int32Array.of(...inputIds.data, ...ids!);
  return hostTensor("int32", [1, whole.length], whole);
}

/** Logits `[T, V]` of ids that a cache is fed in pieces. */
async function inPieces(
  model: Gemma3nForConditionalGeneration,
  ids: Int32Array,
  pastKeyValues: ReturnType<typeof model.createCache>,
  piece: number,
): Promise<number[]> {
  const all: number[] = [];
  while (pastKeyValues.length < ids.length) {
    const first = pastKeyValues.length;
    const part = ids.slice(first, first + piece);
    const inputIds = hostTensor("int32", [1, part.length], part);
    const { logits } = await model.forward({ inputIds }, { pastKeyValues });
    all.push(...logits.data);
  }
  return all;
}

test("caches in q8 give the same bits in pieces, cropped, beside others and with threads", async () => {
  const { inputIds } = await expectedInputs("window");
  const ids = inputIds.data;
  const T = ids.length;
  // Rings of 16 - 1 + 8 rows, which wrap.
  const options = { cacheDtype: "q8", prefillChunk: 8 } as const;
  await using model = await loadTiny("wasm", options);
  const whole = [...(await model.forward({ inputIds })).logits.data];
  const width = whole.length / T;
  using cache = model.createCache({ maxLength: 256 });
  assert.deepEqual(await inPieces(model, ids, cache, 5), whole);
  cache.crop(-6);
  assert.deepEqual(
    await inPieces(model, ids, cache, 1),
    whole.slice((T - 6) * width),
  );
  // A store that was another sequence's, and two sequences at once.
  cache.crop(0);
  const short = ids.slice(0, 21);
  assert.deepEqual(
    await inPieces(model, short, cache, 4),
    whole.slice(0, 21 * width),
  );
  const pair = new Int32Array(2 * T);
  pair.set(ids);
  pair.set(short, 2 * T - 21);
  const attentionMask = hostTensor(
    "int32",
    [2, T],
    pair.map((_, i) => i < T || i >= 2 * T - 21 ? 1 : 0),
  );
  const both = await model.forward({
    inputIds: hostTensor("int32", [2, T], pair),
    attentionMask,
  });
  assert.deepEqual([...both.logits.data.subarray(0, T * width)], whole);
  assert.deepEqual(
    [...both.logits.data.subarray((2 * T - 21) * width)],
    whole.slice(0, 21 * width),
  );

  await using threaded = await loadTiny("wasm", { ...options, threads: 2 });
  const again = await threaded.forward({ inputIds });
  assert.deepEqual([...again.logits.data], whole);
});

if (await testGpu()) {
  test("a GPU refuses caches in q8 and says what there is instead", async () => {
    await assert.rejects(
      loadTiny("webgpu", { cacheDtype: "q8" }),
      (error) =>
        error instanceof UnsupportedError &&
        /cacheDtype "f16".*device "wasm"/.test(error.message),
    );
  });
}
