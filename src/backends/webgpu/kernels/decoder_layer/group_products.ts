// Products of quantised rows with a vector, where subgroups can add: each lane
// has whole groups of 32 elements, which it loads as vectors of four words, and
// needs one scale for. What lanes have of the vector stays in registers while
// rows go by in a loop: unrolled, the code of all rows would take longer to fetch
// than their weights.
//
// Elements become floats without a conversion, of which a GPU does few at a time:
// bits moved into the fraction of 1.0 give 1 + q / 16 (q4) or 1 + q / 256 (q8).
// All q are unsigned, the middle of their range is 1.5, and what that adds is
// subtracted for the group as a whole.
import { BLOCK_SIZES, type WeightFormat } from "../../../../core/dtype.ts";
import type { SubgroupFeatures } from "../../features.ts";
import { fits } from "./kernel.ts";
import { range } from "./layer_shape.ts";
import type { RowSource } from "./products.ts";

/** Elements that share a scale. */
const GROUP = BLOCK_SIZES.q8_0.values;
const QUADS = GROUP / 4;
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
  /** Turns whose loads are under way together, if there are so many; 1 unless given. */
  readonly ahead?: number;
  /** Groups of a lane, where that many lanes exist; 1 where elements of the vector cost much. */
  readonly laneGroups?: number;
  /** The row of its matrix that row `index` is, as WGSL; it must be one that exists. */
  readonly row: (index: string) => string;
}

/** The products of a workgroup's rows with its vector. */
export class GroupProducts {
  private readonly options: GroupProductsOptions;
  /** Groups of a row, G. */
  private readonly groups: number;
  /** Lanes of a row. */
  private readonly lanes: number;
  /** Rows at a time. */
  private readonly slots: number;
  private readonly laneGroups: number;
  private readonly turns: number;
  private readonly ahead: number;

  constructor(options: GroupProductsOptions) {
    const { width, threads, subgroups, rows } = options;
    const { laneGroups = LANE_GROUPS } = options;
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
    this.ahead = Math.min(options.ahead ?? 1, this.turns);
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
      const isWhole = (k + 1) * lanes <= groups;
      lines.push(
        `  let ${name}g${k} = ${
          isWhole ? group : `min(${group}, ${groups - 1}u)`
        };`,
      );
    }
    for (const stage of range(this.ahead)) {
      matrices.forEach((_, m) =>
        this.eachLoad(m, (at, quads) => {
          for (const h of range(quads)) {
            lines.push(`  var w${at}_${h}${later(stage)} = vec4u();`);
          }
          lines.push(`  var s${at}${later(stage)} = 0u;`);
        })
      );
    }
    return lines.join("\n");
  }

  /** The second half of {@link before}, which may stand in a branch. */
  loadFirst(): string {
    return range(this.ahead).map((turn) => this.load(`${turn}u`, turn))
      .join("\n");
  }

  /**
   * All products, once the vector is known; ends in a barrier.
   *
   * @param quad Quad `j` of group `group` of the vector, as WGSL.
   */
  after(quad: (group: string, j: number) => string): string {
    const { options: { name }, groups, lanes } = this;
    const lines: string[] = [];
    for (const k of range(this.laneGroups)) {
      const quads = range(QUADS);
      const isWhole = (k + 1) * lanes <= groups;
      for (const j of quads) {
        const value = quad(`${name}g${k}`, j);
        lines.push(
          `  let ${name}x${k}_${j} = ${
            isWhole
              ? value
              : `select(vec4f(), ${value}, ${name}Lane + ${
                k * lanes
              }u < ${groups}u)`
          };`,
        );
      }
      const sum = quads.map((j) => `${name}x${k}_${j}`).join(" + ");
      lines.push(`  let ${name}t${k} = 1.5 * dot(${sum}, vec4f(1.0));`);
    }
    lines.push(
      `  for (var turn = 0u; turn < ${this.turns}u; turn++) {`,
      this.multiply(),
      this.advance(),
      this.reduce(),
      "  }",
      "  workgroupBarrier();",
    );
    return lines.join("\n");
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

  /** Lets the next turn have what was loaded for it, and loads for a later one. */
  private advance(): string {
    const { options: { matrices }, ahead, turns } = this;
    const lines: string[] = [];
    for (const stage of range(ahead - 1)) {
      const [to, from] = [later(stage), later(stage + 1)];
      matrices.forEach((_, m) =>
        this.eachLoad(m, (at, quads) => {
          for (const h of range(quads)) {
            lines.push(`  w${at}_${h}${to} = w${at}_${h}${from};`);
          }
          lines.push(`  s${at}${to} = s${at}${from};`);
        })
      );
    }
    if (ahead < turns) {
      lines.push(
        `  if (turn + ${ahead}u < ${turns}u) {`,
        this.load(`turn + ${ahead}u`, ahead - 1),
        "  }",
      );
    }
    return lines.join("\n");
  }

  private load(turn: string, stage: number): string {
    const { options: { name, matrices, row, together }, groups } = this;
    const lines = range(together).map((i) =>
      `  let row${i} = ${row(this.index(turn, i))};`
    );
    matrices.forEach(({ values, scales }, m) =>
      this.eachLoad(m, (at, quads, i, k) => {
        const g = `${name}g${k}`;
        for (const h of range(quads)) {
          lines.push(
            `  w${at}_${h}${
              later(stage)
            } = bitcast<vec4u>(vectors[${values} / 4u + (row${i} * ${groups}u + ${g}) * ${quads}u + ${h}u]);`,
          );
        }
        lines.push(
          `  s${at}${later(stage)} = words[${scales} + row${i} * ${
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
      const unit = format === "q4" ? "16.0" : "256.0";
      for (const i of range(together)) {
        lines.push(`  var sum${m}_${i} = 0.0;`);
      }
      this.eachLoad(m, (at, quads, i, k) => {
        const products: string[] = [];
        for (const h of range(quads)) {
          for (const j of range(4)) {
            const word = `w${at}_${h}.${"xyzw"[j]}`;
            const x = (quad: number) => `${name}x${k}_${quad}`;
            if (format === "q4") {
              products.push(`dot(${x(j)}, ${lowBits(word)})`);
              products.push(`dot(${x(4 + j)}, ${highBits(word)})`);
            } else {
              products.push(`dot(${x(4 * h + j)}, ${bytes(word)})`);
            }
          }
        }
        lines.push(
          `  sum${m}_${i} += ${unit} * unpack2x16float(s${at}).x * (${
            products.join(" + ")
          } - ${name}t${k});`,
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

/** Ends the names of what a later turn will need. */
function later(stage: number): string {
  return stage === 0 ? "" : `_after${stage}`;
}

/** 1 + q / 16 for the low halves of a word's bytes. */
function lowBits(word: string): string {
  return fraction(
    `${word} << 19u, ${word} << 11u, ${word} << 3u, ${word} >> 5u`,
    "0x780000u",
  );
}

/** 1 + q / 16 for the high halves of a word's bytes. */
function highBits(word: string): string {
  return fraction(
    `${word} << 15u, ${word} << 7u, ${word} >> 1u, ${word} >> 9u`,
    "0x780000u",
  );
}

/** 1 + (q + 128) / 256 for a word's signed bytes. */
function bytes(word: string): string {
  const flipped = `(${word} ^ 0x80808080u)`;
  return fraction(
    `${flipped} << 15u, ${flipped} << 7u, ${flipped} >> 1u, ${flipped} >> 9u`,
    "0x7f8000u",
  );
}

function fraction(moved: string, mask: string): string {
  return `bitcast<vec4f>((vec4u(${moved}) & vec4u(${mask})) | vec4u(0x3f800000u))`;
}
