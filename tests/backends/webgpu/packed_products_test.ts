// Products of vectors that a GPU rounds to bytes, against the same bytes summed
// in float64: with weights of both formats, of a vector that threads share and of
// one of which each lane rounds its own groups.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { SubgroupFeatures } from "../../../src/backends/webgpu/features.ts";
import {
  GROUP,
  GROUP_FUNCTIONS,
} from "../../../src/backends/webgpu/kernels/decoder_layer/group_dots.ts";
import {
  GroupProducts,
  type GroupProductsOptions,
} from "../../../src/backends/webgpu/kernels/decoder_layer/group_products.ts";
import {
  kernelCode,
  WEIGHT_BINDINGS,
} from "../../../src/backends/webgpu/kernels/decoder_layer/kernel.ts";
import {
  range,
  threadsFor,
} from "../../../src/backends/webgpu/kernels/decoder_layer/layer_shape.ts";
import {
  Octets,
  rowsOf,
} from "../../../src/backends/webgpu/kernels/decoder_layer/products.ts";
import { SharedVector } from "../../../src/backends/webgpu/kernels/decoder_layer/shared_vector.ts";
import { assertClose, randomTensor, testGpu } from "../../testing.ts";
import { OneWorkgroup } from "./one_workgroup.ts";
import { type PackedMatrices, packMatrices } from "./packed_matrices.ts";

/** Of the largest result: float32 sums of exact sums within groups. */
const TOLERANCE = 2e-6;
const ROWS = 21;

/** A kernel that multiplies the rows of all matrices with `inputs`. */
type Products = (
  matrices: PackedMatrices,
  subgroups: SubgroupFeatures,
) => string;

/** All rows of the matrices, in one workgroup. */
function productsOf(
  { width, places }: PackedMatrices,
  subgroups: SubgroupFeatures,
  lanes: Pick<GroupProductsOptions, "together" | "laneGroups">,
): GroupProducts {
  return new GroupProducts({
    name: "g",
    width,
    threads: threadsFor(width),
    subgroups,
    matrices: places.map(rowsOf),
    rows: ROWS,
    row: (index) => `min(${index}, ${ROWS - 1}u)`,
    ...lanes,
  });
}

/** As kernels do whose threads compute the vector. */
const sharedProducts: Products = (what, subgroups) => {
  const { width, places } = what;
  const threads = threadsFor(width);
  const octets = new Octets("o", width, threads, threads);
  const vector = new SharedVector(octets, subgroups);
  const products = productsOf(what, subgroups, { together: 1 });
  return productsWgsl(
    subgroups,
    threads,
    `${vector.declaration()}\n${products.declaration()}`,
    `${octets.declare()}
${products.before()}
${octets.eachQuad((q, x) => `  ${x} = inputs[${q}];`)}
${vector.share()}
${vector.multiply(products)}`,
    places.length,
  );
};

/** As the down projection does. */
const ownProducts: Products = (what, subgroups) => {
  const { width, places } = what;
  const threads = threadsFor(width);
  const lanes = { together: 4, laneGroups: 1 };
  const products = productsOf(what, subgroups, lanes);
  const quad = (group: string, j: number) => `inputs[8u * (${group}) + ${j}u]`;
  return productsWgsl(
    subgroups,
    threads,
    `${GROUP_FUNCTIONS}\n${products.declaration()}`,
    `${products.before()}\n${products.after({ quad })}`,
    places.length,
  );
};

function productsWgsl(
  subgroups: SubgroupFeatures,
  threads: number,
  declarations: string,
  body: string,
  matrices: number,
): string {
  const { code, weightViews } = kernelCode(subgroups, {
    threads,
    bindings: [
      { name: "inputs", element: "vec4f" },
      ...WEIGHT_BINDINGS,
      { name: "outputs", element: "f32", writes: true },
    ],
    declarations: [declarations],
    body: [
      body,
      ...range(matrices).map((m) =>
        `  if (thread < ${ROWS}u) { outputs[${
          m * ROWS
        }u + thread] = gTotal(${m}u, thread); }`
      ),
    ],
  });
  assert.equal(weightViews, WEIGHT_BINDINGS.length);
  return code;
}

/** A vector, and the whole numbers it is rounded to with the scale of each group. */
interface Rounded {
  readonly values: Float32Array<ArrayBuffer>;
  readonly bytes: Int32Array;
  readonly scales: Float64Array;
}

/**
 * Groups of very different scales, whose elements lie up to 0.4 beside whole
 * multiples, so that no GPU's division decides how they are rounded. One group is
 * all zeros, and another one but for one element.
 */
function roundedVector(groups: number): Rounded {
  const width = groups * GROUP;
  const { data: random } = randomTensor([width], { seed: 1, scale: 126 });
  const { data: beside } = randomTensor([width], { seed: 2, scale: 0.4 });
  const values = new Float32Array(width);
  const bytes = new Int32Array(width);
  const scales = new Float64Array(groups);
  for (let g = 0; g < groups; g++) {
    scales[g] = Math.fround((1 + g / groups) * 2 ** (g % 7 - 3));
    for (let i = 0; i < GROUP; i++) {
      const k = g * GROUP + i;
      const isLargest = i === 7 * g % GROUP;
      const isZero = g === 1 || g === 2 && !isLargest;
      bytes[k] = isZero
        ? 0
        : isLargest
        ? g % 2 === 0 ? 127 : -127
        : Math.round(random[k]!);
      const rest = isZero || isLargest ? 0 : beside[k]!;
      values[k] = scales[g]! * (bytes[k]! + rest);
    }
  }
  return { values, bytes, scales };
}

/** The products of all rows of all matrices with the bytes. */
function expectedProducts(
  { width, values }: PackedMatrices,
  { bytes, scales }: Rounded,
): number[] {
  return values.flatMap((weights) =>
    range(ROWS).map((r) => {
      let sum = 0;
      for (let k = 0; k < width; k++) {
        const scale = scales[Math.floor(k / GROUP)]!;
        sum += weights[r * width + k]! * bytes[k]! * scale;
      }
      return sum;
    })
  );
}

const context = await testGpu();
if (context && !context.subgroups.packedDots) {
  console.warn("The tests of packed products are left out: the GPU has none");
}
if (context?.subgroups.packedDots) {
  const { gpu, subgroups } = context;
  const { subgroupSize } = subgroups;
  const ways: [string, Products][] = [
    ["a shared vector", sharedProducts],
    ["groups of a lane", ownProducts],
  ];
  for (const [name, products] of ways) {
    for (const groups of [1, 2, 8].map((parts) => parts * subgroupSize + 1)) {
      test(`products of ${name} of ${groups} groups are those of its bytes`, async () => {
        const matrices = packMatrices(["q4", "q8"], ROWS, groups * GROUP);
        const vector = roundedVector(groups);
        const expected = expectedProducts(matrices, vector);
        using kernel = new OneWorkgroup(
          gpu,
          products(matrices, subgroups),
          matrices.bytes,
          expected.length,
        );
        const found = await kernel.run(vector.values);
        for (const [m, { format }] of matrices.places.entries()) {
          const own = (all: ArrayLike<number>) =>
            Array.from(all).slice(m * ROWS, (m + 1) * ROWS);
          const wanted = own(expected);
          const largest = Math.max(...wanted.map(Math.abs));
          const atol = TOLERANCE * largest;
          assertClose(own(found), wanted, { atol, label: format });
        }
      });
    }

    test(`products of ${name} with what is not finite are NaN`, async () => {
      const groups = subgroupSize + 1;
      const matrices = packMatrices(["q4", "q8"], ROWS, groups * GROUP);
      using kernel = new OneWorkgroup(
        gpu,
        products(matrices, subgroups),
        matrices.bytes,
        matrices.places.length * ROWS,
      );
      const { values } = roundedVector(groups);
      const isNaNWith = async (k: number, bad: number) => {
        const x = values.slice();
        x[k] = bad;
        const found = await kernel.run(x);
        assert.ok(found.every(Number.isNaN), `${bad} at ${k}: ${found}`);
      };
      for (const k of range(GROUP)) await isNaNWith(k, NaN);
      // In the group that is zeros, and in the last one.
      for (const bad of [NaN, Infinity, -Infinity]) {
        await isNaNWith(GROUP + 5, bad);
        await isNaNWith(values.length - 1, bad);
      }
    });
  }
}
