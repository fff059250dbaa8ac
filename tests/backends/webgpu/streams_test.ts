// What comes before and after the layers in two dispatches each, against the same
// made of other operations: a model of one layer, on the reference device.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { WeightFormat } from "../../../src/core/dtype.ts";
import { parseGemma3nConfig } from "../../../src/models/gemma3n/config.ts";
import { ropeTables } from "../../../src/models/gemma3n/rope.ts";
import { kvSpecs } from "../../../src/models/gemma3n/sequence_cache.ts";
import { textModel } from "../../../src/models/gemma3n/text_model.ts";
import { textWeights } from "../../../src/models/gemma3n/text_weights.ts";
import type { KvStore, Ops, Tensor } from "../../../src/ops/ops.ts";
import { reference } from "../../ops/parity.ts";
import {
  assertClose,
  randomTensor,
  type TestDevice,
  testGpu,
} from "../../testing.ts";
import { deviceOf } from "./device_of.ts";
import { type Declared, fill, loader } from "./random_weights.ts";

/** Of the largest element: float32 sums in another order. */
const TOLERANCE = 1e-5;
const HIDDEN = 96;
const PER_LAYER = 32;
const CONTEXT = 8;

const { textConfig: CONFIG } = parseGemma3nConfig({
  model_type: "gemma3n_text",
  vocab_size: 64,
  vocab_size_per_layer_input: 64,
  hidden_size: HIDDEN,
  intermediate_size: 64,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 16,
  hidden_size_per_layer_input: PER_LAYER,
  laurel_rank: 8,
  num_kv_shared_layers: 0,
  sliding_window: 8,
  max_position_embeddings: 64,
  activation_sparsity_pattern: [0],
});

/** The last hidden state of a row, and the names of the whole operations used. */
async function hiddenOf(
  target: TestDevice,
  dtype: WeightFormat,
): Promise<{ hidden: Float32Array; used: string[] }> {
  await using device = await target.create();
  const declared: Declared[] = [];
  const weights = textWeights(loader(device, dtype, declared), CONFIG);
  const specs = kvSpecs(CONFIG, CONTEXT, 1, "f32");
  device.reserveKv(specs);
  const used: string[] = [];
  const ops = watched(device.ops, used);
  const upload = (shape: number[], seed: number) =>
    device.upload(randomTensor(shape, { seed }).data, shape);
  const record = (stores: readonly KvStore[]): Tensor =>
    textModel(ops, weights, CONFIG, {
      embeds: upload([1, HIDDEN], 1),
      tableRows: upload([1, PER_LAYER], 2),
      segments: [{ firstRow: 0, rows: 1, firstPosition: 0 }],
      stores: [stores],
      rope: ropeTables(device, CONFIG, Int32Array.of(0)),
      keep: Int32Array.of(0),
      fastPrefill: true,
      outputHiddenStates: false,
    }).hidden!;
  const create = () => specs.map((spec) => device.createKvStore(spec));
  device.plan(() => [record(create())]);
  await device.allocate();
  await fill(device, declared);
  used.length = 0;
  const [hidden] = await device.read([record(create())]);
  return { hidden: hidden!, used };
}

/** The operations, which leave their names where they recorded something. */
function watched(ops: Ops, used: string[]): Ops {
  const names = ["embedStreams", "decoderLayer", "mergeStreams"] as const;
  const wrapped = names.map((name) => {
    const op = ops[name] as ((...args: unknown[]) => unknown) | undefined;
    return [
      name,
      op && ((...args: unknown[]) => {
        const result = op(...args);
        if (result !== undefined) used.push(name);
        return result;
      }),
    ];
  });
  return { ...ops, ...Object.fromEntries(wrapped) };
}

const context = await testGpu();
if (context) {
  const plain = deviceOf(context, "all features", {});
  const noSubgroups = deviceOf(context, "no subgroups", {
    subgroups: { subgroupSize: 0, enablesSubgroups: false, packedDots: false },
  });
  const cases: [WeightFormat, TestDevice][] = [
    ["f32", plain],
    ["q8", plain],
    ["q8", noSubgroups],
  ];
  for (const [dtype, target] of cases) {
    test(`embedStreams and mergeStreams of ${dtype} match the reference with ${target.name}`, async () => {
      const expected = await hiddenOf(reference, dtype);
      assert.deepEqual(expected.used, []);
      const { hidden, used } = await hiddenOf(target, dtype);
      assert.deepEqual(used, [
        "embedStreams",
        "decoderLayer",
        "mergeStreams",
      ]);
      const largest = expected.hidden.reduce(
        (m, v) => Math.max(m, Math.abs(v)),
        0,
      );
      assertClose(hidden, expected.hidden, {
        atol: TOLERANCE * largest,
        label: dtype,
      });
    });
  }
  test("a model whose layers no buffer holds goes on with other operations", async () => {
    const { maxBufferSize, maxComputeWorkgroupStorageSize } = context.limits;
    const target = deviceOf(context, "bindings of 8192 bytes", {
      limits: {
        maxStorageBufferBindingSize: 8192,
        maxBufferSize,
        maxComputeWorkgroupStorageSize,
      },
    });
    const expected = await hiddenOf(reference, "q8");
    const { hidden, used } = await hiddenOf(target, "q8");
    assert.deepEqual(used, []);
    assertClose(hidden, expected.hidden, { atol: 1e-4, label: "hidden" });
  });
}
