// A vector in workgroup memory, which threads compute by octets and multiply by
// groups: quad j of all groups side by side, so that lanes that read the same quad
// of theirs meet no bank twice. As floats, or as bytes with a scale a group.
import type { SubgroupFeatures } from "../../features.ts";
import { GROUP, GROUP_FUNCTIONS } from "./group_dots.ts";
import type { GroupProducts } from "./group_products.ts";
import { range } from "./layer_shape.ts";
import type { Octets } from "./products.ts";

/** Threads that have the octets of a group: neighbours. */
const SHARERS = GROUP / 8;

/** The vector of a workgroup. */
export class SharedVector {
  private readonly octets: Octets;
  private readonly packed: boolean;
  private readonly groups: number;

  /** Of octets that neighbouring threads have. */
  constructor(octets: Octets, { packedDots }: SubgroupFeatures) {
    this.octets = octets;
    this.packed = packedDots;
    this.groups = octets.width / GROUP;
  }

  /** Declares the memory. */
  declaration(): string {
    const { octets: { width }, groups } = this;
    if (!this.packed) {
      return `var<workgroup> vector: array<vec4f, ${width / 4}>;`;
    }
    return `var<workgroup> vector: array<u32, ${width / 4}>;
var<workgroup> vectorScales: array<vec2f, ${groups}>;
${GROUP_FUNCTIONS}`;
  }

  /** Lines that fill it; they end in a barrier. */
  share(): string {
    return `${this.packed ? this.shareBytes() : this.shareFloats()}
  workgroupBarrier();`;
  }

  /** All products with it. */
  multiply(products: GroupProducts): string {
    const { groups } = this;
    const at = (group: string, j: number) =>
      `vector[${j * groups}u + ${group}]`;
    return products.after(
      this.packed
        ? { word: at, scale: (group) => `vectorScales[${group}]` }
        : { quad: at },
    );
  }

  private place(q: string): string {
    return `vector[(${q} & 7u) * ${this.groups}u + (${q} >> 3u)]`;
  }

  private shareFloats(): string {
    return this.octets.eachQuad((q, x) => `  ${this.place(q)} = ${x};`);
  }

  /** Threads without an octet have zeros of it, and are sharers of such threads only. */
  private shareBytes(): string {
    const { name, count } = this.octets;
    const rounded = range(count).map((k) => {
      const [a, b] = [`${name}xa${k}`, `${name}xb${k}`];
      return `  var ${name}most${k} = largestOf(max(magnitudesOf(${a}), magnitudesOf(${b})));
${
        overSharers((by) =>
          `  ${name}most${k} = max(${name}most${k}, subgroupShuffleXor(${name}most${k}, ${by}u));`
        )
      }
  let ${name}r${k} = roundingOf(${name}most${k});
  let ${name}wa${k} = bytesOf(${a}, ${name}r${k}.x);
  let ${name}wb${k} = bytesOf(${b}, ${name}r${k}.x);
  var ${name}units${k} = unitsOf(${name}wa${k}) + unitsOf(${name}wb${k});
${
        overSharers((by) =>
          `  ${name}units${k} += subgroupShuffleXor(${name}units${k}, ${by}u);`
        )
      }`;
    });
    const stored = this.octets.each((k) =>
      `  ${this.place(`${name}a${k}`)} = ${name}wa${k};
  ${this.place(`${name}b${k}`)} = ${name}wb${k};
  if ((${name}${k} & ${SHARERS - 1}u) == 0u) {
    vectorScales[${name}${k} / ${SHARERS}u] = scaleOf(${name}r${k}.y, ${name}units${k});
  }`
    );
    return `${rounded.join("\n")}\n${stored}`;
  }
}

/** Lines after which all sharers have what one of them would have. */
function overSharers(line: (by: number) => string): string {
  return range(Math.log2(SHARERS)).map((i) => line(2 ** i)).join("\n");
}
