import assert from "node:assert/strict";
import { test } from "node:test";

import { InputError } from "../../../src/core/errors.ts";
import { numel } from "../../../src/core/shape.ts";
import { type HostTensor, hostTensor } from "../../../src/core/tensor.ts";
import type { Gemma3nVisionConfig } from "../../../src/models/gemma3n/config.ts";
import { visionBlock } from "../../../src/models/gemma3n/vision_blocks.ts";
import {
  imageFeatures,
  visionStem,
} from "../../../src/models/gemma3n/vision_encoder.ts";
import { picturePixels } from "../../../src/models/gemma3n/vision_pixels.ts";
import {
  type VisionTower,
  visionTowerWeights,
} from "../../../src/models/gemma3n/vision_weights.ts";
import type { Device } from "../../../src/ops/device.ts";
import { golden } from "../../golden.ts";
import { assertClose, devices, randomTensor } from "../../testing.ts";
import { tinyCheckpoint, tinyConfig } from "./tiny_checkpoint.ts";

// Features are of order 1; float32 in another order moves them by 1e-5.
const TOLERANCE = 2e-4;

// Bun gives a test 5 s unless told otherwise.
const SLOW = { timeout: 120_000 };

const expected = await golden();
const { visionConfig, textConfig } = await tinyConfig();
const config = visionConfig!;

// What timm and Transformers compute for randomTensor([75, 101, 3], { seed: 7 })
// at output resolution 2: the first channels of each of the four soft tokens.
// Every stage sees an odd side, which shifts its padding.
const ODD_SIZE = [
  [0.80763936, 1.05159104, 0.13396437, 2.71830297],
  [1.31813836, 1.54785538, -0.71080077, 2.38696122],
  [0.16482383, 0.49969923, 0.14292008, 2.44412684],
  [0.37957975, 1.19606018, 0.19057964, 2.44480872],
];

// Mean magnitude of the stem's and each stage's output for the same picture,
// computed in float64.
const STAGE_MAGNITUDES = [
  0.40480962,
  1.24899106,
  0.56603862,
  1.80335941,
  1.98515681,
];
const MAGNITUDE_TOLERANCE = 1e-6;

/** A device with the vision tower in it and room for pictures of `size`. */
async function visionDevice(
  create: () => Promise<Device>,
  visionConfig: Gemma3nVisionConfig,
  [rows, columns]: readonly [number, number],
): Promise<{ device: Device; tower: VisionTower }> {
  const device = await create();
  const { loader, write } = await tinyCheckpoint(device);
  const tower = visionTowerWeights(
    loader.scope("model."),
    visionConfig,
    textConfig.hiddenSize,
  );
  const blank = new Float32Array(rows * columns * 3);
  device.plan(() => {
    const pixels = device.upload(blank, [rows, columns, 3]);
    return [imageFeatures(device.ops, tower, visionConfig, pixels)];
  });
  await device.allocate();
  await write();
  return { device, tower };
}

/** Features of every picture, one after another. */
async function features(
  create: () => Promise<Device>,
  visionConfig: Gemma3nVisionConfig,
  pixelValues: HostTensor<"float32">,
): Promise<Float32Array> {
  const [count, , rows, columns] = pixelValues.shape;
  const size = [rows!, columns!] as const;
  const set = await visionDevice(create, visionConfig, size);
  await using device = set.device;
  const out: number[] = [];
  for (let i = 0; i < count!; i++) {
    const { data, shape } = picturePixels(pixelValues, i);
    const pixels = device.upload(data, shape);
    const [values] = await device.read([
      imageFeatures(device.ops, set.tower, visionConfig, pixels),
    ]);
    out.push(...values!);
  }
  return Float32Array.from(out);
}

for (const { name: device, kind, create } of await devices()) {
  // The scalar reference takes seconds for a picture.
  const names = kind === "reference" ? ["image"] : ["image", "images"];
  for (const name of names) {
    test(`image features of "${name}" on ${device}`, SLOW, async () => {
      const pixels = expected.float32(`${name}.pixel_values`);
      const wanted = expected.float32(`${name}.image_features`);
      const actual = await features(create, config, pixels);
      assertClose(actual, wanted.data, { atol: TOLERANCE, label: name });
    });
  }

  // 8 divides the 16 cells of the finest features: pooled; 12 does not.
  for (const resolution of [8, 12]) {
    const name = `vision_res${resolution}`;
    test(`image features of "${name}" on ${device}`, SLOW, async () => {
      const pixels = expected.float32("image.pixel_values");
      const wanted = expected.float32(`${name}.image_features`);
      const resized = { ...config, msfaOutputResolution: resolution };
      const actual = await features(create, resized, pixels);
      assert.equal(actual.length, resolution ** 2 * textConfig.hiddenSize);
      assertClose(actual, wanted.data, { atol: TOLERANCE, label: name });
    });
  }

  test(
    `image features of a picture with odd sides on ${device}`,
    SLOW,
    async () => {
      const { data, shape } = randomTensor([75, 101, 3], { seed: 7 });
      const resized = { ...config, msfaOutputResolution: 2 };
      const set = await visionDevice(create, resized, [75, 101]);
      await using open = set.device;
      const pixels = open.upload(data, shape);
      const result = imageFeatures(open.ops, set.tower, resized, pixels);
      assert.deepEqual(result.shape, [4, textConfig.hiddenSize]);
      const [values] = await open.read([result]);
      ODD_SIZE.forEach((wanted, i) => {
        const first = i * textConfig.hiddenSize;
        const actual = values!.subarray(first, first + wanted.length);
        assertClose(actual, wanted, { atol: TOLERANCE, label: `token ${i}` });
      });
    },
  );
}

/** Output of the stem and of every block for a picture with odd sides, by name. */
async function blockOutputs(
  create: () => Promise<Device>,
): Promise<Map<string, Float32Array>> {
  const { data, shape } = randomTensor([75, 101, 3], { seed: 7 });
  const device = await create();
  await using _ = device;
  const { loader, write } = await tinyCheckpoint(device);
  const tower = visionTowerWeights(
    loader.scope("model."),
    config,
    textConfig.hiddenSize,
  );
  const record = () => {
    const pixels = device.upload(data, shape);
    let x = visionStem(device.ops, tower.encoder, pixels);
    const outputs = new Map([["stem", x]]);
    tower.encoder.stages.forEach((blocks, stage) =>
      blocks.forEach((block, i) => {
        x = visionBlock(device.ops, block, x);
        outputs.set(`blocks.${stage}.${i}`, x);
      })
    );
    return outputs;
  };
  device.plan(() => [...record().values()]);
  await device.allocate();
  await write();
  const outputs = record();
  const values = await device.read([...outputs.values()]);
  return new Map([...outputs.keys()].map((name, i) => [name, values[i]!]));
}

const [oracle, ...others] = await devices();
const oracleOutputs = await blockOutputs(oracle!.create);

test("stages of a picture with odd sides have timm's magnitudes on reference", () => {
  const ends = [
    "stem",
    "blocks.0.2",
    "blocks.1.4",
    "blocks.2.36",
    "blocks.3.38",
  ];
  ends.forEach((name, i) => {
    const values = oracleOutputs.get(name)!;
    const mean = values.reduce((sum, x) => sum + Math.abs(x), 0) /
      values.length;
    assertClose([mean], [STAGE_MAGNITUDES[i]!], {
      rtol: MAGNITUDE_TOLERANCE,
      label: name,
    });
  });
});

for (const { name: device, create } of others) {
  test(`every block on ${device} is as on reference`, async () => {
    for (const [name, values] of await blockOutputs(create)) {
      assertClose(values, oracleOutputs.get(name)!, {
        atol: TOLERANCE,
        label: name,
      });
    }
  });
}

test("picturePixels() interleaves the planes of one picture", () => {
  const planes = Float32Array.from({ length: 2 * 3 * 2 * 5 }, (_, i) => i);
  const { shape, data } = picturePixels(
    hostTensor("float32", [2, 3, 2, 5], planes),
    1,
  );
  assert.deepEqual(shape, [2, 5, 3]);
  assert.deepEqual([...data.subarray(0, 6)], [30, 40, 50, 31, 41, 51]);
  assert.deepEqual([...data.subarray(27)], [39, 49, 59]);
});

test("picturePixels() refuses other shapes and pictures that are not there", () => {
  const make = (shape: number[]) =>
    hostTensor("float32", shape, new Float32Array(numel(shape)));
  for (const shape of [[3, 4, 4], [1, 4, 4, 3], [1, 3, 0, 4], []]) {
    assert.throws(() => picturePixels(make(shape), 0), InputError);
  }
  for (const index of [-1, 2, 0.5]) {
    assert.throws(() => picturePixels(make([2, 3, 1, 1]), index), {
      name: "InputError",
      message: `Cannot use picture ${index} of pixelValues: there are 2`,
    });
  }
});
