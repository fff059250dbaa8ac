import assert from "node:assert/strict";
import { test } from "node:test";
import { parseGemma3nConfig } from "../../../src/models/gemma3n/config.ts";
import {
  inverseFrequencies,
  ropeTables,
} from "../../../src/models/gemma3n/rope.ts";
import type { Device } from "../../../src/ops/device.ts";
import type { Tensor } from "../../../src/ops/ops.ts";

const { textConfig } = parseGemma3nConfig({ model_type: "gemma3n" });

/** Tables of the sliding layers for rows at these positions. */
function tablesAt(positions: Int32Array): Record<"cos" | "sin", Float32Array> {
  const uploaded = new Map<Tensor, Float32Array>();
  const tensorOf = (data: Float32Array, shape: readonly number[]) => {
    const tensor = { shape };
    uploaded.set(tensor, data);
    return tensor;
  };
  const at = (x: Tensor, i: number) => {
    const data = uploaded.get(x)!;
    const size = data.length / x.shape[0]!;
    return tensorOf(data.subarray(i * size, (i + 1) * size), x.shape.slice(1));
  };
  const { sliding_attention: { cos, sin } } = ropeTables(
    { upload: tensorOf, ops: { at } } as unknown as Device,
    textConfig,
    positions,
  );
  return { cos: uploaded.get(cos)!, sin: uploaded.get(sin)! };
}

/** Half a unit in the last place of 1, and what turning may add to it. */
const TOLERANCE = 2 ** -25 + 1e-10;

for (
  const [name, positions] of [
    ["of a prompt", Int32Array.from({ length: 512 }, (_, t) => t)],
    [
      "far from its start",
      Int32Array.from({ length: 300 }, (_, t) => 32_400 + t),
    ],
    ["of several sequences", Int32Array.of(7, 8, 9, 4000, 4001, 5, 5, 4, 6)],
    ["of a token", Int32Array.of(8191)],
  ] as const
) {
  test(`ropeTables() gives cosines and sines of float32 angles ${name}`, () => {
    const { cos, sin } = tablesAt(positions);
    const { headDim, ropeParameters } = textConfig;
    const { ropeTheta } = ropeParameters.sliding_attention;
    const frequencies = inverseFrequencies(headDim, ropeTheta);
    const half = frequencies.length;
    positions.forEach((position, t) =>
      frequencies.forEach((frequency, i) => {
        const angle = Math.fround(position * frequency);
        const at = t * half + i;
        const off = Math.max(
          Math.abs(cos[at]! - Math.cos(angle)),
          Math.abs(sin[at]! - Math.sin(angle)),
        );
        assert.ok(off <= TOLERANCE, `off by ${off} at ${position}, pair ${i}`);
      })
    );
  });
}
