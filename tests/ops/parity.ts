// Comparisons that the tests of all operations share: the reference with what
// PyTorch computes, and every other device with the reference.
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { TestDevice } from "../testing.ts";
import {
  assertTensorClose,
  devices,
  runOps,
  type RunOptions,
  tensor,
  type TestTensor,
  type TestWeight,
} from "../testing.ts";

/** Around a vector of 4 and of 8, a tile, a workgroup; and a real width. */
export const SIZES: readonly number[] = [
  1,
  3,
  4,
  5,
  7,
  8,
  9,
  31,
  33,
  63,
  65,
  2048,
];

/** The reference rounds once, PyTorch at every step, and goldens have eight digits. */
export const GOLDEN_TOLERANCE = { rtol: 1e-5, atol: 2e-6 } as const;

const [firstDevice, ...otherDevices] = await devices();

/** The reference device. */
export const reference: TestDevice = firstDevice!;

/** How far another device may be off. */
export interface Tolerance {
  readonly rtol: number;
  readonly atol: number;
}

/** One step to compare on two devices. */
export interface ParityCase {
  readonly label: string;
  run(target: TestDevice): Promise<TestTensor>;
}

/** A {@link ParityCase} of operations. */
export function parityCase<W extends Record<string, TestWeight>>(
  label: string,
  options: RunOptions<W>,
): ParityCase {
  return { label, run: (target) => runOps(target, options) };
}

/** Compares every other device with the reference. */
export function testParity(
  op: string,
  tolerance: Tolerance,
  cases: readonly ParityCase[],
): void {
  for (const target of otherDevices) {
    test(`${op} on ${target.name} matches the reference`, async () => {
      for (const { label, run } of cases) {
        const expected = await run(reference);
        assertTensorClose(await run(target), expected, { ...tolerance, label });
      }
    });
  }
}

interface Flat {
  readonly shape: number[];
  readonly values: number[];
}

const goldens = JSON.parse(
  readFileSync(
    new URL("../reference/ops/goldens.json", import.meta.url),
    "utf8",
  ),
) as Record<string, Record<string, Flat>>;

/** An input of a golden case, or its `expected` result. */
export function golden(name: string, key: string): TestTensor {
  const flat = goldens[name]?.[key];
  if (!flat) throw new Error(`There is no golden "${name}" with "${key}"`);
  return tensor(flat.shape, flat.values);
}

/** Compares the reference with the golden `name`. */
export function testGolden<W extends Record<string, TestWeight>>(
  name: string,
  options: RunOptions<W>,
): void {
  test(`${name} on the reference matches PyTorch`, async () => {
    const actual = await runOps(reference, options);
    const expected = golden(name, "expected");
    assertTensorClose(actual, expected, { ...GOLDEN_TOLERANCE, label: name });
  });
}
