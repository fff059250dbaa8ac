// Keys and values in halves beside float32 weights, against float32 throughout.
import assert from "node:assert/strict";
import { test } from "node:test";
import { hostTensor } from "../../src/core/tensor.ts";
import {
  expectedIds,
  expectedInputs,
  loadTiny,
  MODEL_DEVICES,
} from "../model.ts";

/** Logits of `text` that halves move on the reference device, with a margin. */
const HALF_ATOL = 0.1;

for (const device of MODEL_DEVICES.filter((name) => name !== "reference")) {
  test(`halves as keys and values leave ids alone that are not close calls on ${device}`, async () => {
    const inputs = await expectedInputs("text");
    const [ids] = await expectedIds("text");
    const whole = Int32Array.of(...inputs.inputIds.data, ...ids!);
    const inputIds = hostTensor("int32", [1, whole.length], whole);
    await using float = await loadTiny(device, { cacheDtype: "f32" });
    await using half = await loadTiny(device, { cacheDtype: "f16" });
    const { logits } = await float.forward({ inputIds });
    const found = await half.forward({ inputIds });
    const moved = logits.data.reduce(
      (most, x, i) => Math.max(most, Math.abs(x - found.logits.data[i]!)),
      0,
    );
    // Halves that change nothing would be floats.
    assert.ok(moved > 0 && moved < HALF_ATOL, `logits moved by ${moved}`);

    const V = logits.shape[2]!;
    const T = inputs.inputIds.data.length;
    const isClear = ids!.map((_, i) => {
      const row = logits.data.slice((T + i - 1) * V, (T + i) * V).sort();
      return row[V - 1]! - row[V - 2]! > 2 * moved;
    });
    const clear = isClear.includes(false)
      ? isClear.indexOf(false)
      : ids!.length;
    assert.ok(clear > 0, "the first id is a close call");
    const { sequences } = await half.generate({
      ...inputs,
      maxNewTokens: ids!.length,
    });
    assert.deepEqual(
      [...sequences[0]!.subarray(T, T + clear)],
      ids!.slice(0, clear),
    );
  });
}
