// Products of quantised rows with a vector, where subgroups can add: each lane
// has whole groups of 32 elements, which it loads as vectors of four words, and
// needs one scale for. What lanes have of the vector stays in registers while
// rows go by in a loop: unrolled, the code of all rows would take longer to fetch
// than their weights.
import type { WeightFormat } from "../../../../core/dtype.ts";
import type { SubgroupFeatures } from "../../features.ts";
import {
  BYTE_DOTS,
  FLOAT_DOTS,
  GROUP,
  type GroupDots,
  type VectorSource,
} from "./group_dots.ts";
import { fits } from "./kernel.ts";
import { range } from "./layer_shape.ts";
import type { RowSource } from "./products.ts";

/** Groups of a lane at most, so that its registers suffice. */
const LANE_GROUPS = 2;

/** What {@link GroupProducts} multiplies. */
export interface GroupProductsOptions {
  /** Begins the names of its variables. */
  readonly name: string;
  /** K. */
  readonly width: number;
  readonly threads: number;
  readonly subgroups: SubgroupFeatures;
  /** Matrices of which each row of the workgroup meets the vector. */
  readonly matrices: readonly RowSource[];
  /** Rows of the workgroup. */
  readonly rows: number;
  /** Rows of a subgroup whose loads are under way together, if it has so many. */
  readonly together: number;
  /** Groups of a lane, where that many lanes exist; 1 where elements of the vector cost much. */
  readonly laneGroups?: number;
  /** The row of its matrix that row `index` is, as WGSL; it must be one that exists. */
  readonly row: (index: string) => string;
}

/** The products of a workgroup's rows with its vector. */
export class GroupProducts {
  private readonly options: GroupProductsOptions;
  private readonly dots: GroupDots;
  /** Groups of a row, G. */
  private readonly groups: number;
  /** Lanes of a row. */
  private readonly lanes: number;
  /** Rows at a time. */
  private readonly slots: number;
  private readonly laneGroups: number;
  private readonly turns: number;

  constructor(options: GroupProductsOptions) {
    const { width, threads, subgroups, rows } = options;
    const { laneGroups = LANE_GROUPS } = options;
    this.dots = subgroups.packedDots ? BYTE_DOTS : FLOAT_DOTS;
    this.groups = width / GROUP;
    const { subgroupSize } = subgroups;
    const wanted = Math.ceil(this.groups / laneGroups / subgroupSize);
    this.lanes = Math.min(
      threads,
      subgroupSize * 2 ** Math.ceil(Math.log2(wanted)),
    );
    this.slots = threads / this.lanes;
    this.laneGroups = Math.ceil(this.groups / this.lanes);
    const together = Math.min(options.together, Math.ceil(rows / this.slots));
    this.options = { ...options, together };
    this.turns = Math.ceil(rows / (this.slots * together));
  }

  /** Whether there are products of this sort. */
  static suits(
    { subgroupSize }: SubgroupFeatures,
    threads: number,
    width: number,
    formats: readonly WeightFormat[],
  ): boolean {
    return fits(subgroupSize, threads) && width % GROUP === 0 &&
      width / GROUP >= subgroupSize &&
      formats.every((format) => format !== "f32");
  }

  /** Declares memory and `<name>Total(m, r)`, the product of row r of the workgroup in matrix m. */
  declaration(): string {
    const { options: { name, matrices, subgroups }, lanes } = this;
    const parts = lanes / subgroups.subgroupSize;
    const terms = range(parts).map((p) => `${name}Sums[at + ${p}u]`);
    return `var<workgroup> ${name}Sums: array<f32, ${
      matrices.length * this.paddedRows * parts
    }>;
fn ${name}Total(m: u32, r: u32) -> f32 {
  let at = (m * ${this.paddedRows}u + r) * ${parts}u;
  return ${terms.join(" + ")};
}`;
  }

  /** Declares what is loaded, and starts to load the first rows: before the vector is known. */
  before(): string {
    return `${this.declare()}\n${this.loadFirst()}`;
  }

  /** The first half of {@link before}. */
  declare(): string {
    const { options: { name, matrices }, lanes, groups } = this;
    const lines = [
      `  let ${name}Lane = thread % ${lanes}u;`,
      `  let ${name}Slot = thread / ${lanes}u;`,
    ];
    for (const k of range(this.laneGroups)) {
      const group = `${name}Lane + ${k * lanes}u`;
      lines.push(
        `  let ${name}g${k} = ${
          this.isWhole(k) ? group : `min(${group}, ${groups - 1}u)`
        };`,
      );
    }
    matrices.forEach((_, m) =>
      this.eachLoad(m, (at, quads) => {
        for (const h of range(quads)) {
          lines.push(`  var w${at}_${h} = vec4u();`);
        }
        lines.push(`  var s${at} = 0u;`);
      })
    );
    return lines.join("\n");
  }

  /** The second half of {@link before}, which may stand in a branch. */
  loadFirst(): string {
    return this.load("0u");
  }

  /** All products, once the vector is known; ends in a barrier. */
  after(source: VectorSource): string {
    const { options: { name }, groups, lanes } = this;
    const lines = range(this.laneGroups).map((k) =>
      this.dots.load(
        `${name}x${k}`,
        source,
        `${name}g${k}`,
        this.isWhole(k)
          ? undefined
          : `${name}Lane + ${k * lanes}u < ${groups}u`,
      )
    );
    lines.push(
      `  for (var turn = 0u; turn < ${this.turns}u; turn++) {`,
      this.multiply(),
      `  if (turn + 1u < ${this.turns}u) {`,
      this.load("turn + 1u"),
      "  }",
      this.reduce(),
      "  }",
      "  workgroupBarrier();",
    );
    return lines.join("\n");
  }

  /** Whether all lanes have their group `k`. */
  private isWhole(k: number): boolean {
    return (k + 1) * this.lanes <= this.groups;
  }

  private get paddedRows(): number {
    return this.turns * this.slots * this.options.together;
  }

  /** Calls `visit` for what a lane loads of matrix `m` at a time. */
  private eachLoad(
    m: number,
    visit: (at: string, quads: number, i: number, k: number) => void,
  ): void {
    const { name, matrices, together } = this.options;
    const quads = matrices[m]!.format === "q4" ? 1 : 2;
    for (const i of range(together)) {
      for (const k of range(this.laneGroups)) {
        visit(`${name}${m}_${i}_${k}`, quads, i, k);
      }
    }
  }

  private index(turn: string, i: number): string {
    const { options: { name, together }, slots } = this;
    return `((${turn}) * ${together}u + ${i}u) * ${slots}u + ${name}Slot`;
  }

  private load(turn: string): string {
    const { options: { name, matrices, row, together }, groups } = this;
    const lines = range(together).map((i) =>
      `  let row${i} = ${row(this.index(turn, i))};`
    );
    matrices.forEach(({ values, scales }, m) =>
      this.eachLoad(m, (at, quads, i, k) => {
        const g = `${name}g${k}`;
        for (const h of range(quads)) {
          lines.push(
            `  w${at}_${h} = bitcast<vec4u>(vectors[${values} / 4u + (row${i} * ${groups}u + ${g}) * ${quads}u + ${h}u]);`,
          );
        }
        lines.push(
          `  s${at} = words[${scales} + row${i} * ${
            Math.ceil(groups / 2)
          }u + (${g} >> 1u)] >> (16u * (${g} & 1u));`,
        );
      })
    );
    return `  {\n${lines.join("\n")}\n  }`;
  }

  /** Adds the products of what was loaded. */
  private multiply(): string {
    const { matrices, name, together } = this.options;
    const lines: string[] = [];
    matrices.forEach(({ format }, m) => {
      for (const i of range(together)) {
        lines.push(`  var sum${m}_${i} = 0.0;`);
      }
      this.eachLoad(m, (at, quads, i, k) => {
        const words = range(quads).map((h) => `w${at}_${h}`);
        const scale = `unpack2x16float(s${at}).x`;
        lines.push(
          `  sum${m}_${i} += ${
            this.dots.product(`${name}x${k}`, format, words, scale)
          };`,
        );
      });
    });
    return lines.join("\n");
  }

  /** Adds over the lanes of a subgroup. */
  private reduce(): string {
    const { options: { name, matrices, together, subgroups }, lanes } = this;
    const parts = lanes / subgroups.subgroupSize;
    const part = parts === 1 ? "0u" : `subgroup % ${parts}u`;
    return matrices.flatMap((_, m) =>
      range(together).map((i) =>
        `  { let total = subgroupAdd(sum${m}_${i});
    if (subgroupLane == 0u) {
      ${name}Sums[(${m * this.paddedRows}u + ${
          this.index("turn", i)
        }) * ${parts}u + ${part}] = total;
    } }`
      )
    ).join("\n");
  }
}
