import assert from "node:assert/strict";
import { test } from "node:test";

import { numel, type Shape } from "../../../src/core/shape.ts";
import type { Gemma3nVisionConfig } from "../../../src/models/gemma3n/config.ts";
import {
  roundChannels,
  visionArchitecture,
} from "../../../src/models/gemma3n/vision_architecture.ts";
import { samePadding } from "../../../src/models/gemma3n/vision_blocks.ts";
import { visionTowerWeights } from "../../../src/models/gemma3n/vision_weights.ts";
import type { WeightLoader } from "../../../src/ops/weight_loader.ts";
import { devices } from "../../testing.ts";
import { tinyCheckpoint, tinyConfig } from "./tiny_checkpoint.ts";

const { visionConfig, textConfig } = await tinyConfig();
const config = visionConfig!;
const TOWER = "model.vision_tower.timm_model.";

/** Shapes by checkpoint name of all the encoder's weights. */
function encoderShapes(config: Gemma3nVisionConfig): Map<string, Shape> {
  const shapes = new Map<string, Shape>();
  const scoped = (prefix: string): WeightLoader => ({
    weight(_, name, shape) {
      if (prefix.startsWith(TOWER)) shapes.set(prefix + name, shape);
      return { shape };
    },
    scope: (more) => scoped(prefix + more),
  });
  visionTowerWeights(scoped("model."), config, 64);
  return shapes;
}

test("the tower names every tensor of the checkpoint's vision tower once, in its shape", async () => {
  const [reference] = await devices();
  await using device = await reference!.create();
  const { loader, declared, names } = await tinyCheckpoint(device);
  visionTowerWeights(loader.scope("model."), config, textConfig.hiddenSize);
  const ours = (name: string) => name.startsWith("model.vision_tower.");
  assert.deepEqual(
    [...declared].filter(ours).sort(),
    names.filter(ours).sort(),
  );
});

// Counted in timm's model of each multiplier. 0.07 and 0.33 need the rounding
// that never loses a tenth, 1.4 widens the stem.
const PARAMETERS = [
  [0.03125, 3_699_008],
  [0.07, 8_328_672],
  [0.33, 54_883_784],
  [0.5, 99_380_928],
  [1, 294_126_912],
  [1.4, 518_794_584],
  [2, 970_685_056],
] as const;

for (const [channelMultiplier, parameters] of PARAMETERS) {
  test(`the encoder has ${parameters} parameters at multiplier ${channelMultiplier}`, () => {
    const shapes = encoderShapes({ ...config, channelMultiplier });
    assert.equal(shapes.size, 548);
    const total = [...shapes.values()].reduce((n, s) => n + numel(s), 0);
    assert.equal(total, parameters);
  });
}

test("the full encoder's stages have timm's blocks and widths", () => {
  const full = visionArchitecture({ ...config, channelMultiplier: 1 });
  assert.deepEqual(full.stages.map((blocks) => blocks.length), [3, 5, 37, 39]);
  assert.equal(full.stemChannels, 64);
  assert.deepEqual(full.msfaStages, [2, 3]);
  assert.equal(full.msfaInChannels, 1920);
  assert.equal(full.msfaMidChannels, 3840);
  assert.deepEqual(full.stages[2]![9], {
    kind: "mobileAttention",
    channels: 640,
    heads: 12,
    headDim: 64,
    kvStride: 2,
    kvKernelSize: 3,
  });
  assert.deepEqual(full.stages[3]![0], {
    kind: "universalInvertedResidual",
    inChannels: 640,
    midChannels: 3840,
    outChannels: 1280,
    startKernelSize: 5,
    midKernelSize: 5,
    stride: 2,
  });
});

test("roundChannels() follows make_divisible", () => {
  const cases = [
    [1, 8],
    [4, 8],
    [8.96, 16], // 8 would lose more than a tenth
    [11.9, 16],
    [12, 16], // a tie
    [13, 16],
    [17.92, 24],
    [20, 24],
    [36, 40],
    [44.8, 48],
    [89.6, 88], // loses less than a tenth
    [179.2, 176],
  ] as const;
  for (const [channels, rounded] of cases) {
    assert.equal(roundChannels(channels), rounded, `${channels}`);
  }
});

test("samePadding() pads for ceil(side / stride) outputs, the odd one last", () => {
  const pad = (top: number, bottom: number, left: number, right: number) => ({
    top,
    bottom,
    left,
    right,
  });
  const cases = [
    // An even side under stride 2 needs one less than an odd one.
    { size: [8, 8], kernel: [3, 3], stride: 2, padding: pad(0, 1, 0, 1) },
    { size: [7, 8], kernel: [3, 3], stride: 2, padding: pad(1, 1, 0, 1) },
    { size: [8, 7], kernel: [5, 5], stride: 2, padding: pad(1, 2, 2, 2) },
    { size: [1, 2], kernel: [5, 5], stride: 2, padding: pad(2, 2, 1, 2) },
    { size: [9, 4], kernel: [5, 5], stride: 1, padding: pad(2, 2, 2, 2) },
    { size: [9, 4], kernel: [1, 1], stride: 1, padding: pad(0, 0, 0, 0) },
    { size: [9, 4], kernel: [1, 1], stride: 2, padding: pad(0, 0, 0, 0) },
  ];
  for (const { size, kernel, stride, padding } of cases) {
    assert.deepEqual(
      samePadding([...size, 3], kernel, stride),
      padding,
      `${size} under ${kernel} / ${stride}`,
    );
  }
});
