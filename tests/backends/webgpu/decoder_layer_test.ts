// A decoder layer in one operation against the same layer made of the others, on
// the reference device: layers of every kind one after another, so that each
// leaves its addend to the next.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CacheDtype, WeightFormat } from "../../../src/core/dtype.ts";
import { parseGemma3nConfig } from "../../../src/models/gemma3n/config.ts";
import {
  decoderLayer,
  decoderLayerWeights,
} from "../../../src/models/gemma3n/decoder_layer.ts";
import { kvLayerIndices } from "../../../src/models/gemma3n/kv_sharing.ts";
import type { KvStore, Ops, Tensor } from "../../../src/ops/ops.ts";
import { reference } from "../../ops/parity.ts";
import {
  assertClose,
  randomTensor,
  type TestDevice,
  testGpu,
} from "../../testing.ts";
import { RecordedLayer } from "../../../src/backends/webgpu/ops/recorded_layer.ts";
import { deviceOf } from "./device_of.ts";
import { type Declared, fill, loader } from "./random_weights.ts";

/** Of the largest element: float32 sums in another order, through four layers. */
const TOLERANCE = 2e-5;
/** With the vectors of products rounded to bytes: 0.4 % of each group's largest element. */
const PACKED_TOLERANCE = 3e-2;
/** With halves in the cache, where a sum in another order may round otherwise. */
const HALVES_TOLERANCE = 1e-3;
const STREAMS = 4;
/** Owning layers of both kinds, sparse and dense; then shared ones, if there are four. */
const LAYER_TYPES = [
  "sliding_attention",
  "full_attention",
  "sliding_attention",
  "full_attention",
];
const OWNING = 2;
const SPARSITY = [0.9, 0, 0.8, 0];

/** Sizes of a layer. */
interface Sizes {
  /** Two or four. */
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly perLayer: number;
  readonly rank: number;
  readonly intermediate: number;
  readonly window: number;
}

const SMALL: Sizes = {
  layers: 4,
  hidden: 64,
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  perLayer: 16,
  rank: 8,
  intermediate: 128,
  window: 8,
};
/** Rows of an odd number of groups; workgroups that are not full. */
const ODD: Sizes = {
  layers: 4,
  hidden: 96,
  heads: 6,
  kvHeads: 2,
  headDim: 32,
  perLayer: 32,
  rank: 32,
  intermediate: 352,
  window: 70,
};
/** Heads as they are released, whose splits are merged by workgroups of a part. */
const LONG: Sizes = { ...SMALL, heads: 2, kvHeads: 1, headDim: 256 };
/** Whole groups a lane, of which some have one more; heads as they are released. */
const WIDE: Sizes = {
  layers: 2,
  hidden: 544,
  heads: 4,
  kvHeads: 1,
  headDim: 256,
  perLayer: 256,
  rank: 64,
  intermediate: 2080,
  window: 32,
};

function configOf(sizes: Sizes) {
  return parseGemma3nConfig({
    model_type: "gemma3n_text",
    vocab_size: 64,
    vocab_size_per_layer_input: 64,
    hidden_size: sizes.hidden,
    intermediate_size: sizes.intermediate,
    num_hidden_layers: sizes.layers,
    num_attention_heads: sizes.heads,
    num_key_value_heads: sizes.kvHeads,
    head_dim: sizes.headDim,
    hidden_size_per_layer_input: sizes.perLayer,
    laurel_rank: sizes.rank,
    num_kv_shared_layers: sizes.layers - OWNING,
    sliding_window: sizes.window,
    max_position_embeddings: 32768,
    layer_types: LAYER_TYPES.slice(0, sizes.layers),
    activation_sparsity_pattern: SPARSITY.slice(0, sizes.layers),
  }).textConfig;
}

/** Rows to run: so many keys before, then one row after another. */
interface Run {
  readonly past: number;
  readonly rows: number;
  /** How keys and values are kept; f32 unless given. */
  readonly cache?: CacheDtype;
  /** Whether the last element of the last value before is NaN. */
  readonly hasNaN?: boolean;
}

/** Streams after all layers, of each row. */
async function layersOf(
  target: TestDevice,
  sizes: Sizes,
  dtype: WeightFormat,
  { past, rows, cache, hasNaN = false }: Run,
  fused: boolean,
): Promise<Float32Array[]> {
  await using device = await target.create();
  const config = configOf(sizes);
  const declared: Declared[] = [];
  const load = loader(device, dtype, declared, "layers.");
  const weights = Array.from(
    { length: sizes.layers },
    (_, i) => decoderLayerWeights(load.scope(`${i}.`), config, i),
  );
  const { kvHeads, headDim, hidden, perLayer, window } = sizes;
  const capacities = [window + 3, past + rows];
  const specs = capacities.map((capacity) => ({
    capacity,
    kvHeads,
    headDim,
    dtype: cache,
  }));
  device.reserveKv(specs);
  const upload = (shape: number[], seed: number) =>
    device.upload(randomTensor(shape, { seed }).data, shape);
  const ops: Ops = fused ? required(device.ops) : device.ops;
  const row = (position: number, stores: readonly KvStore[]): Tensor => {
    const rope = {
      cos: upload([1, headDim / 2], 1000 + position),
      sin: upload([1, headDim / 2], 2000 + position),
    };
    const segments = [{ firstRow: 0, rows: 1, firstPosition: position }];
    return weights.reduce((x, w, i) =>
      decoderLayer(ops, w, config, x, {
        segments,
        stores: [stores[kvLayerIndices(config)[i]!]!],
        rope,
        perLayerInput: upload([1, perLayer], 3000 + position + i),
      }), upload([STREAMS, 1, hidden], 4000 + position));
  };
  const fillStores = (stores: readonly KvStore[]) =>
    stores.forEach((store, i) => {
      const first = Math.max(0, past - store.capacity);
      const count = past - first;
      const shape = [count, kvHeads, headDim];
      const segment = { firstRow: 0, rows: count, firstPosition: first };
      if (count > 0) {
        const { data } = randomTensor(shape, { seed: 6000 + i });
        if (hasNaN) data[data.length - 1] = NaN;
        const [k, v] = [upload(shape, 5000 + i), device.upload(data, shape)];
        device.ops.appendKv([store], [segment], k, v);
      }
    });
  const standIns = () => specs.map((spec) => device.createKvStore(spec));
  device.plan(() => [row(past + rows - 1, standIns())]);
  device.plan(() => (fillStores(standIns()), []));
  await device.allocate();
  await fill(device, declared);
  const stores = standIns();
  fillStores(stores);
  await device.submit();
  const out: Float32Array[] = [];
  for (let i = 0; i < rows; i++) {
    out.push((await device.read([row(past + i, stores)]))[0]!);
  }
  return out;
}

/** The operations, of which a layer must be one. */
function required(ops: Ops): Ops {
  return {
    ...ops,
    decoderLayer: (...args) => {
      const result = ops.decoderLayer!(...args);
      assert.ok(result, "the device has kernels for the layer");
      return result;
    },
  };
}

const context = await testGpu();
if (context) {
  const plain = deviceOf(context, "all features", {});
  const floats = deviceOf(context, "products of floats", {
    subgroups: { ...context.subgroups, packedDots: false },
  });
  const noSubgroups = deviceOf(context, "no subgroups", {
    subgroups: { subgroupSize: 0, enablesSubgroups: false, packedDots: false },
  });
  const cases: [string, Sizes, WeightFormat, Run, TestDevice][] = [
    ["small f32 from the start", SMALL, "f32", { past: 0, rows: 3 }, plain],
    ["small q4 beyond the window", SMALL, "q4", { past: 70, rows: 2 }, floats],
    ["odd f32 in several splits", ODD, "f32", { past: 300, rows: 2 }, plain],
    ["odd q8", ODD, "q8", { past: 69, rows: 3 }, plain],
    ["odd q8", ODD, "q8", { past: 69, rows: 2 }, floats],
    ["odd q4", ODD, "q4", { past: 129, rows: 1 }, plain],
    ["odd q4", ODD, "q4", { past: 129, rows: 1 }, floats],
    ["odd q4", ODD, "q4", { past: 129, rows: 1 }, noSubgroups],
    [
      "odd q4 with halves",
      ODD,
      "q4",
      { past: 140, rows: 2, cache: "f16" },
      floats,
    ],
    ["odd q4 to larger tiles", ODD, "q4", { past: 254, rows: 4 }, floats],
    ["large heads with long keys", LONG, "f32", { past: 4200, rows: 1 }, plain],
    ["wide q4", WIDE, "q4", { past: 100, rows: 1 }, plain],
    ["wide q8", WIDE, "q8", { past: 100, rows: 1 }, plain],
    ["wide q4", WIDE, "q4", { past: 100, rows: 1 }, floats],
  ];
  test("rows after the first repeat what their layers recorded", async () => {
    const { repeat } = RecordedLayer.prototype;
    let repeated = 0;
    RecordedLayer.prototype.repeat = function (...args) {
      repeated++;
      return repeat.apply(this, args);
    };
    try {
      await layersOf(plain, SMALL, "f32", { past: 3, rows: 3 }, true);
    } finally {
      RecordedLayer.prototype.repeat = repeat;
    }
    assert.equal(repeated, 2 * SMALL.layers);
  });

  test("kernels of a layer bind what others leave as one buffer", async () => {
    const { gpu } = context;
    const { createBindGroup } = gpu;
    let bindings = 0;
    gpu.createBindGroup = (descriptor) => {
      bindings += [...descriptor.entries].length;
      return createBindGroup.call(gpu, descriptor);
    };
    try {
      await layersOf(plain, WIDE, "q4", { past: 0, rows: 1 }, true);
    } finally {
      gpu.createBindGroup = createBindGroup;
    }
    const others = 4 + 2; // joining the table, and the last addend
    const most = 33 * WIDE.layers + others;
    assert.ok(bindings > 0 && bindings <= most, `${bindings} bindings`);
  });

  test("a NaN that one group of a packed product sees reaches all streams", async () => {
    const run = { past: 3, rows: 1, hasNaN: true };
    for (
      const [target, isFused] of [[reference, false], [plain, true]] as const
    ) {
      const [streams] = await layersOf(target, WIDE, "q4", run, isFused);
      assert.ok(streams!.every(Number.isNaN), target.name);
    }
  });

  for (const [label, sizes, dtype, run, target] of cases) {
    const isPacked = dtype !== "f32" && target === plain;
    test(`decoderLayer of ${label} matches the reference with ${target.name}`, async () => {
      const expected = await layersOf(reference, sizes, dtype, run, false);
      const actual = await layersOf(target, sizes, dtype, run, true);
      expected.forEach((streams, i) => {
        const largest = streams.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
        const tolerance = isPacked
          ? PACKED_TOLERANCE
          : run.cache
          ? HALVES_TOLERANCE
          : TOLERANCE;
        assertClose(actual[i]!, streams, {
          atol: tolerance * largest,
          label: `row ${i}`,
        });
      });
    });
  }
}
