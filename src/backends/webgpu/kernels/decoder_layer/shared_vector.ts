// A vector in workgroup memory, which threads compute by octets and multiply by
// groups: quad j of all groups side by side, so that lanes that read the same quad
// of theirs meet no bank twice.
import { BLOCK_SIZES } from "../../../../core/dtype.ts";
import type { GroupProducts } from "./group_products.ts";
import type { Octets } from "./products.ts";

/** Elements that share a scale. */
const GROUP = BLOCK_SIZES.q8_0.values;

/** Declares the memory. */
export function vectorMemory(width: number): string {
  return `var<workgroup> vector: array<vec4f, ${width / 4}>;`;
}

/** Lines that fill it; they end in a barrier. */
export function shareVector(octets: Octets): string {
  const groups = octets.width / GROUP;
  return `${
    octets.eachQuad((q, x) =>
      `  vector[(${q} & 7u) * ${groups}u + (${q} >> 3u)] = ${x};`
    )
  }
  workgroupBarrier();`;
}

/** All products with it. */
export function multiplyShared(products: GroupProducts, width: number): string {
  const groups = width / GROUP;
  return products.after((group, j) => `vector[${j * groups}u + ${group}]`);
}
