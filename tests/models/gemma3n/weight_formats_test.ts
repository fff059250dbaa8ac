import assert from "node:assert/strict";
import { test } from "node:test";
import type { WeightSpec } from "../../../src/ops/device.ts";
import { weightFormats } from "../../../src/models/gemma3n/weight_formats.ts";

const TEXT = "model.language_model.";

function matrix(name: string, rows: number, width: number): WeightSpec {
  return { name, kind: "matrix", shape: [rows, width] };
}

const PROJECTION = matrix(`${TEXT}layers.3.mlp.down_proj.weight`, 2048, 8192);
/** What four bits would hurt, and shapes as in E2B. */
const SENSITIVE: readonly WeightSpec[] = [
  matrix(`${TEXT}embed_tokens.weight`, 262400, 2048),
  matrix("lm_head.weight", 262400, 2048),
  matrix(`${TEXT}altup_projections.0.weight`, 2048, 2048),
  matrix(`${TEXT}per_layer_model_projection.weight`, 7680, 2048),
  matrix(`${TEXT}layers.3.laurel.linear_left.weight`, 64, 2048),
  matrix(`${TEXT}layers.3.laurel.linear_right.weight`, 2048, 64),
  matrix(`${TEXT}layers.3.per_layer_input_gate.weight`, 256, 2048),
  matrix(
    "model.audio_tower.conformer.0.attention.attn.q_proj.weight",
    1536,
    1536,
  ),
  {
    name: "model.vision_tower.timm_model.blocks.1.0.pw_exp.conv.weight",
    kind: "conv2d",
    shape: [768, 128, 1, 1],
  },
  {
    name: "model.vision_tower.timm_model.blocks.0.1.conv_exp.weight",
    kind: "conv2d",
    shape: [512, 128, 3, 3],
  },
];
const FLOATS: readonly WeightSpec[] = [
  { name: `${TEXT}norm.weight`, kind: "vector", shape: [2048] },
  matrix(`${TEXT}layers.3.altup.modality_router.weight`, 4, 2048),
  matrix(`${TEXT}layers.3.altup.prediction_coefs.weight`, 16, 4),
  {
    name: "model.vision_tower.timm_model.conv_stem.conv.weight",
    kind: "conv2d",
    shape: [64, 3, 3, 3],
  },
];

test("q4 has four bits for attention and MLP of the decoder alone", () => {
  const format = weightFormats("q4");
  assert.equal(format(PROJECTION, "bf16"), "q4");
  const bare = { ...PROJECTION, name: "layers.0.self_attn.q_proj.weight" };
  assert.equal(format(bare, "f32"), "q4");
  for (const spec of SENSITIVE) {
    assert.equal(format(spec, "bf16"), "q8", spec.name);
  }
});

test("q8 has eight bits for all of them", () => {
  const format = weightFormats("q8");
  for (const spec of [PROJECTION, ...SENSITIVE]) {
    assert.equal(format(spec, "bf16"), "q8", spec.name);
  }
});

test("vectors, large convolutions, few outputs and odd rows stay float32", () => {
  for (const dtype of ["q4", "q8"] as const) {
    for (const spec of FLOATS) {
      assert.equal(weightFormats(dtype)(spec, "bf16"), "f32", spec.name);
    }
    const odd = { ...PROJECTION, shape: [2048, 40] };
    assert.equal(weightFormats(dtype)(odd, "bf16"), "f32");
  }
});

test("f32 leaves everything float32, and a file's four bits stay as they are", () => {
  for (const spec of [PROJECTION, ...SENSITIVE, ...FLOATS]) {
    assert.equal(weightFormats("f32")(spec, "q4_0"), "f32", spec.name);
  }
  assert.equal(weightFormats("q8")(SENSITIVE[0]!, "q4_0"), "q4");
  assert.equal(weightFormats("q4")(PROJECTION, "q8_0"), "q4");
});
