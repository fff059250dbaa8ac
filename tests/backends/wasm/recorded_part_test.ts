// A repeated part is, to the word, what would be recorded anew; and only what
// can be repeated is.
import assert from "node:assert/strict";
import { test } from "node:test";

import { createOps } from "../../../src/backends/wasm/ops.ts";
import { Recorder } from "../../../src/backends/wasm/recorder.ts";
import {
  WasmKvStore,
  type WasmTensor,
} from "../../../src/backends/wasm/tensors.ts";
import { InputError } from "../../../src/core/errors.ts";
import type { Ops, Segment, Tensor } from "../../../src/ops/ops.ts";

const HEADS = 4;
const SPEC = { capacity: 3000, kvHeads: 2, headDim: 64 };
const SHAPE = [1, HEADS, SPEC.headDim];

/** What a step works with. */
interface Step {
  readonly r: Recorder;
  readonly ops: Ops;
  readonly store: WasmKvStore;
  readonly segments: readonly Segment[];
  upload(value: number): Tensor;
}

/** A device's recorder without the device. */
class Bench {
  readonly r = new Recorder();
  readonly ops = createOps(this.r);
  readonly store = new WasmKvStore(SPEC, 0, this.r.device);
  readonly key = {};
  calls = 0;

  /** Records a step that begins at a position; gives the words of all its commands and its cost. */
  words(
    position: number,
    record: (step: Step) => Tensor,
  ): [Uint8Array, number] {
    const { r, ops, store } = this;
    const segments = [{ firstRow: 0, rows: 1, firstPosition: position }];
    const upload = (value: number) =>
      r.upload(new Float32Array(HEADS * SPEC.headDim).fill(value), SHAPE);
    const result = record({ r, ops, store, segments, upload }) as WasmTensor;
    const plan = r.plan([result]);
    const memory = new ArrayBuffer(plan.commandBytes + plan.arenaBytes);
    plan.write(memory, 0);
    r.endStep();
    return [new Uint8Array(memory), plan.cost];
  }

  /** Counts how often something is recorded. */
  counting<T>(record: () => T): () => T {
    return () => {
      this.calls++;
      return record();
    };
  }
}

/** A layer of sorts. */
function layer(
  { ops, store, segments }: Step,
  [q, k]: readonly [Tensor, Tensor],
): Tensor {
  const keys = ops.reshape(k, [1, HEADS, SPEC.headDim]);
  const some = ops.reshape(
    ops.columns(ops.reshape(keys, [1, HEADS * SPEC.headDim]), 0, 128),
    [1, SPEC.kvHeads, SPEC.headDim],
  );
  ops.appendKv([store], segments, some, some);
  const options = { heads: HEADS, window: 1024, scale: 1 };
  return ops.add(q, ops.attention(q, [store], segments, options));
}

/** A step with a part in the middle, which `repeat` records. */
function stepWith(
  repeat: (
    step: Step,
    inputs: [Tensor, Tensor],
    record: () => Tensor,
  ) => Tensor,
  value = 1,
) {
  return (step: Step): Tensor => {
    const { ops } = step;
    const inputs: [Tensor, Tensor] = [
      ops.gelu(step.upload(value)),
      step.upload(2 * value),
    ];
    const x = repeat(step, inputs, () => layer(step, inputs));
    return ops.add(ops.tanh(x), inputs[0]);
  };
}

const anew = stepWith((_, __, record) => record());

test("a repeated part has the words and the cost of one that is recorded anew", () => {
  const bench = new Bench();
  const { calls } = bench;
  for (const [i, position] of [0, 1, 2, 700, 1023, 1024, 2999, 5].entries()) {
    const repeated = bench.words(
      position,
      stepWith(
        ({ r, segments }, inputs, record) =>
          r.repeat(bench.key, inputs, bench.counting(record), segments),
        i,
      ),
    );
    const wanted = new Bench().words(position, stepWith((_, __, x) => x(), i));
    assert.deepEqual(repeated, wanted, `position ${position}`);
  }
  assert.equal(bench.calls, calls + 1, "recorded once");
});

test("a part is recorded anew where the step is another one", () => {
  const bench = new Bench();
  const repeat = stepWith(({ r, segments }, inputs, record) =>
    r.repeat(bench.key, inputs, bench.counting(record), segments)
  );
  const others: Record<string, (step: Step) => Tensor> = {
    "later": (step) => {
      step.ops.relu(step.upload(3));
      return repeat(step);
    },
    "inputs in turn": stepWith(({ r, segments }, [a, b], record) =>
      r.repeat(bench.key, [b, a], bench.counting(record), segments)
    ),
    "an input of another shape": stepWith(({ r, ops, segments }, [a, b], x) =>
      r.repeat(
        bench.key,
        [ops.reshape(a, [HEADS, 1, SPEC.headDim]), b],
        bench.counting(x),
        segments,
      )
    ),
    "another row": stepWith(({ r, segments }, inputs, record) => {
      const moved = segments.map((s) => ({ ...s, rows: s.rows + 1 }));
      return r.repeat(bench.key, inputs, bench.counting(record), moved);
    }),
    "another key": stepWith(({ r, segments }, inputs, record) =>
      r.repeat({}, inputs, bench.counting(record), segments)
    ),
  };
  for (const [what, other] of Object.entries(others)) {
    bench.words(4, repeat);
    bench.words(4, repeat);
    bench.calls = 0;
    bench.words(4, other);
    assert.equal(bench.calls, 1, what);
    assert.deepEqual(bench.words(5, repeat), new Bench().words(5, anew), what);
  }
});

test("a part that needs more than its inputs is never repeated", () => {
  const parts: Record<string, (step: Step, x: [Tensor, Tensor]) => Tensor> = {
    "values of the host": ({ ops, upload }, [a]) => ops.add(a, upload(5)),
    "positions of its own": ({ ops, store, segments }, [q]) =>
      ops.attention(q, [store], [...segments], {
        heads: HEADS,
        window: undefined,
        scale: 1,
      }),
  };
  for (const [what, part] of Object.entries(parts)) {
    const bench = new Bench();
    for (let i = 1; i <= 3; i++) {
      bench.words(
        i,
        stepWith((step, inputs) =>
          step.r.repeat(
            bench.key,
            inputs,
            bench.counting(() => part(step, inputs)),
            step.segments,
          )
        ),
      );
      assert.equal(bench.calls, i, what);
    }
  }
  const bench = new Bench();
  for (let i = 1; i <= 3; i++) {
    bench.words(
      i,
      stepWith((step, [a, b]) =>
        step.r.repeat(bench.key, [a], bench.counting(() => step.ops.add(a, b)))
      ),
    );
    assert.equal(bench.calls, i, "an input that was not named");
  }
});

test("parts within a part belong to it", () => {
  const bench = new Bench();
  const nested = stepWith(({ r, segments }, inputs, record) =>
    r.repeat(
      bench.key,
      inputs,
      bench.counting(() => r.repeat({}, inputs, record, segments)),
      segments,
    )
  );
  for (const position of [3, 9, 2000]) {
    const wanted = new Bench().words(position, anew);
    assert.deepEqual(bench.words(position, nested), wanted);
  }
  assert.equal(bench.calls, 1);
});

test("a part is not repeated for a store that was freed", () => {
  const bench = new Bench();
  const repeat = stepWith(({ r, segments }, inputs, record) =>
    r.repeat(bench.key, inputs, record, segments)
  );
  bench.words(1, repeat);
  bench.words(2, repeat);
  bench.store.taken = false;
  assert.throws(() => bench.words(3, repeat), InputError);
});

test("nothing is repeated while a step runs", () => {
  const bench = new Bench();
  // Without operations of its own around the part.
  const repeat = ({ r, segments }: Step) =>
    r.repeat(bench.key, [], () => r.output([1]), segments);
  bench.words(1, repeat);
  bench.words(2, repeat);
  bench.r.running = true;
  assert.throws(() => bench.words(3, repeat), InputError);
});

test("plans record everything", () => {
  const bench = new Bench();
  const repeat = stepWith(({ r, segments }, inputs, record) =>
    r.repeat(bench.key, inputs, bench.counting(record), segments)
  );
  for (let i = 1; i <= 2; i++) {
    bench.r.planning = true;
    const segments = [{ firstRow: 0, rows: 1, firstPosition: 7 }];
    const upload = () =>
      bench.r.upload(new Float32Array(HEADS * SPEC.headDim), SHAPE);
    repeat({ ...bench, segments, upload });
    bench.r.endStep();
    assert.equal(bench.calls, i);
  }
});
