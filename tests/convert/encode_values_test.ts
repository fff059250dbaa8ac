import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeToFloat32 } from "../../src/core/dtype.ts";
import { encodeValues } from "../../src/convert/encode_values.ts";
import { ggufDtype } from "../../src/convert/gguf_recipe.ts";

test("encodeValues() writes what decodeToFloat32() reads", () => {
  const values = Float32Array.of(0, -0, 1.5, -65504, 2 ** -24, 0.1);
  assert.deepEqual(
    decodeToFloat32(encodeValues(values, "f32", "x"), "f32"),
    values,
  );
  const halves = decodeToFloat32(encodeValues(values, "f16", "x"), "f16");
  assert.deepEqual([...halves.subarray(0, 5)], [...values.subarray(0, 5)]);
  assert.ok(Math.abs(halves[5]! - 0.1) < 1e-4);
});

test("encodeValues() names the tensor whose value has no place in the format", () => {
  for (const value of [70_000, NaN, -Infinity]) {
    assert.throws(() => encodeValues(Float32Array.of(1, value), "f16", "w.x"), {
      name: "InputError",
      message: /"w\.x" as f16/,
    });
  }
  const values = new Float32Array(32).fill(NaN);
  assert.throws(() => encodeValues(values, "q8_0", "w.x"), {
    name: "InputError",
    message: /"w\.x" as q8_0/,
  });
  assert.throws(() => encodeValues(values, "q6_k", "w.x"), {
    name: "UnsupportedError",
  });
});

test("ggufDtype() keeps sensitive tensors in better formats", () => {
  const wide = [64, 256];
  const cases: [string, number[], ...ReturnType<typeof ggufDtype>[]][] = [
    // name, shape, and the format for f32, f16, q8, q4
    ["token_embd.weight", wide, "f32", "f16", "q8_0", "q8_0"],
    ["per_layer_token_embd.weight", wide, "f32", "f16", "q8_0", "q8_0"],
    ["blk.3.ffn_up.weight", wide, "f32", "f16", "q8_0", "q4_0"],
    ["blk.3.attn_output.weight", wide, "f32", "f16", "q8_0", "q4_0"],
    ["blk.3.inp_gate.weight", wide, "f32", "f16", "q8_0", "q8_0"],
    ["blk.3.proj.weight", wide, "f32", "f16", "q8_0", "q8_0"],
    ["blk.3.laurel_l.weight", wide, "f32", "f16", "f16", "f16"],
    ["blk.3.altup_router.weight", wide, "f32", "f16", "f16", "f16"],
    ["altup_proj.weight", [3, 64, 64], "f32", "f16", "f16", "f16"],
    ["per_layer_model_proj.weight", wide, "f32", "f16", "f16", "f16"],
    ["blk.3.altup_predict_coef.weight", [16, 4], "f32", "f32", "f32", "f32"],
    ["blk.3.attn_norm.weight", [256], "f32", "f32", "f32", "f32"],
    ["blk.3.ffn_down.weight", [64, 48], "f32", "f16", "f16", "f16"],
  ];
  for (const [name, shape, ...wanted] of cases) {
    const found = (["f32", "f16", "q8", "q4"] as const).map((dtype) =>
      ggufDtype(name, shape, dtype)
    );
    assert.deepEqual(found, wanted, name);
  }
});
