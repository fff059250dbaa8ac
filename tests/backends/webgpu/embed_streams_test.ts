// The streams and per-layer inputs of one token: where the device has chosen it,
// and where the host gives its rows, against the same made of other operations.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { WeightFormat } from "../../../src/core/dtype.ts";
import { createWebGpuDevice } from "../../../src/backends/webgpu/device.ts";
import type { EmbedStreamsWeights } from "../../../src/ops/decoder_streams.ts";
import type { Device, WeightSpec } from "../../../src/ops/device.ts";
import type { Tensor, Weight } from "../../../src/ops/ops.ts";
import { detectPlatform } from "../../../src/platform/detect.ts";
import { reference } from "../../ops/parity.ts";
import { assertClose, type TestDevice, testGpu } from "../../testing.ts";
import { deviceOf } from "./device_of.ts";
import { type Declared, fill } from "./random_weights.ts";

/** No multiple of what kernels bind, and rows of several groups of 32. */
const HIDDEN = 96;
const PER_LAYER = 160;
const VOCAB = 11;
const ID = 7;
const SCALES = [1.7, 0.3] as const;
const EPS = { magnitude: 1e-5, norm: 1e-6 };
/** Sums in another order. */
const TOLERANCE = 2e-5;

/** Weights of the operation, and the tables that it may read. */
interface Weights extends EmbedStreamsWeights {
  readonly table: Weight;
  readonly perLayerTable: Weight;
}

function declare(
  device: Device,
  format: WeightFormat,
  declared: Declared[],
): Weights {
  const matrix = (name: string, shape: number[], format: WeightFormat) => {
    const spec: WeightSpec = { name, kind: "matrix", shape, format };
    const weight = device.declareWeight(spec);
    declared.push([weight, spec]);
    return weight;
  };
  return {
    altupProjections: [0, 1].map((i) =>
      matrix(`stream ${i}`, [HIDDEN, HIDDEN], "f32")
    ),
    perLayerModelProjection: matrix("layers", [PER_LAYER, HIDDEN], "f32"),
    table: matrix("table", [VOCAB, HIDDEN], format),
    perLayerTable: matrix("per layer", [VOCAB, PER_LAYER], format),
  };
}

/** Streams, projections for the layers and the row of the table, with how often kernels ran. */
async function onGpu(
  target: TestDevice,
  format: WeightFormat,
  isChosen: boolean,
): Promise<{ values: Float32Array[]; kernels: string[] }> {
  await using device = await target.create();
  const tokens = device.tokens!;
  tokens.reserve(2, 1);
  const declared: Declared[] = [];
  const w = declare(device, format, declared);
  const record = (): Tensor[] => {
    const look = (table: Weight, scale: number) =>
      isChosen
        ? tokens.embedding(table, 1, 1, scale)
        : device.ops.embedding(table, Int32Array.of(ID), scale);
    const embeds = look(w.table, SCALES[0]);
    const rows = look(w.perLayerTable, SCALES[1]);
    const made = device.ops.embedStreams!(w, embeds, rows, EPS)!;
    return [made.streams, made.perLayer, rows, embeds];
  };
  device.plan(record);
  await device.allocate();
  await fill(device, declared);
  tokens.write(Int32Array.of(ID), 1);
  const values = await device.read(record());
  const { planned } = device as ReturnType<typeof createWebGpuDevice>;
  return { values, kernels: [...planned[0]!.keys()] };
}

/** The same by other operations. */
async function onReference(format: WeightFormat): Promise<Float32Array[]> {
  await using device = await reference.create();
  const declared: Declared[] = [];
  const w = declare(device, format, declared);
  const { ops } = device;
  const record = (): Tensor[] => {
    const look = (table: Weight, scale: number) =>
      ops.embedding(table, Int32Array.of(ID), scale);
    const embeds = look(w.table, SCALES[0]);
    const others = w.altupProjections.map((projection) =>
      ops.matchMagnitude(ops.matmul(embeds, projection), embeds, EPS.magnitude)
    );
    return [
      ops.stack([embeds, ...others]),
      ops.matmul(embeds, w.perLayerModelProjection),
      look(w.perLayerTable, SCALES[1]),
      embeds,
    ];
  };
  device.plan(record);
  await device.allocate();
  await fill(device, declared);
  return await device.read(record());
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
    ["q4", plain],
    ["q8", noSubgroups],
  ];
  const whats = ["streams", "projections", "row of the table", "embedding"];
  for (const [format, target] of cases) {
    test(`embedStreams() looks a chosen token up in tables of ${format} with ${target.name}`, async () => {
      const expected = await onReference(format);
      for (const isChosen of [true, false]) {
        const { values, kernels } = await onGpu(target, format, isChosen);
        whats.forEach((what, i) =>
          assertClose(values[i]!, expected[i]!, {
            rtol: TOLERANCE,
            atol: TOLERANCE,
            label: `${what}, chosen: ${isChosen}`,
          })
        );
        assert.deepEqual(
          kernels.filter((name) => name !== "copyColumns"),
          isChosen
            ? ["embedStreams lookUp project", "embedStreams match"]
            : ["embedding", "embedStreams project", "embedStreams match"],
        );
      }
    });
  }
  test("embedStreams() leaves rows of different tokens to lookups", async () => {
    const platform = await detectPlatform();
    await using device = createWebGpuDevice({ platform, context });
    const tokens = device.tokens!;
    tokens.reserve(2, 1);
    const w = declare(device, "q8", []);
    device.plan(() => {
      const embeds = tokens.embedding(w.table, 0, 1, 1);
      const rows = tokens.embedding(w.perLayerTable, 1, 1, 1);
      const made = device.ops.embedStreams!(w, embeds, rows, EPS)!;
      return [made.streams, rows];
    });
    const [kernels] = device.planned;
    assert.equal(kernels!.get("embedding"), 2);
    assert.equal(kernels!.get("embedStreams project"), 1);
  });
}
