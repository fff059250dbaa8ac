// Products of matrix rows with a vector that the threads of a workgroup hold in
// registers. A thread has octets of the vector: in rows of whole groups of 32 the
// eight elements of a word of q4, which are two words of q8, so that one vector
// meets weights of any format. Loads of several rows are under way together, and
// the first ones before the vector is known.
import { BLOCK_SIZES, type WeightFormat } from "../../../../core/dtype.ts";
import { fits } from "./kernel.ts";
import type { SubgroupFeatures } from "../../features.ts";
import { type MatrixPlace, powerOf2, range } from "./layer_shape.ts";

/** Values that share a scale. */
const GROUP = BLOCK_SIZES.q8_0.values;
/** Fewest threads of a row: sums of so many parts need no further steps. */
const MIN_LANES = 8;
/** Words that a thread loads before it uses any. */
const BATCH_WORDS = 16;
/** Rows of a batch where sums need memory of every thread. */
const BATCH_ROWS_IN_MEMORY = 8;

/** How the threads of a workgroup divide a vector. */
export class Octets {
  readonly name: string;
  readonly width: number;
  readonly threads: number;
  /** Threads of a row. */
  readonly lanes: number;
  /** Rows that meet the vector at a time. */
  readonly slots: number;
  /** Octets of a thread. */
  readonly count: number;

  /**
   * Divides `width` elements, a multiple of 8, among so many lanes, else among
   * as many as there are octets; `name` begins the names of its variables.
   */
  constructor(name: string, width: number, threads: number, lanes?: number) {
    this.name = name;
    this.width = width;
    this.threads = threads;
    this.lanes = lanes ??
      Math.min(threads, Math.max(MIN_LANES, powerOf2(width / 8)));
    this.slots = threads / this.lanes;
    this.count = Math.ceil(width / 8 / this.lanes);
  }

  /** Declares a thread's octets and the elements `xa`, `xb` that it will have of each. */
  declare(): string {
    const { name, lanes, width } = this;
    const lines = [`  let ${name}Lane = thread % ${lanes}u;`];
    for (const k of range(this.count)) {
      const o = `${name}${k}`;
      lines.push(`  let ${o} = ${name}Lane + ${k * lanes}u;`);
      lines.push(
        ...(width % GROUP === 0
          ? [
            `  let ${name}a${k} = 8u * (${o} >> 2u) + (${o} & 3u);`,
            `  let ${name}b${k} = ${name}a${k} + 4u;`,
            `  let ${name}h${k} = 4u * (${o} & 4u);`, // bits below its scale
          ]
          : [
            `  let ${name}a${k} = 2u * ${o};`,
            `  let ${name}b${k} = 2u * ${o} + 1u;`,
          ]),
        `  var ${name}xa${k} = vec4f(); var ${name}xb${k} = vec4f();`,
      );
    }
    return lines.join("\n");
  }

  /** Ends of the names of a thread's quads. */
  get ids(): string[] {
    return range(this.count).flatMap((k) => [`a${k}`, `b${k}`]);
  }

  /** Lines for each octet that a thread has, where it has it. */
  each(lines: (k: number) => string): string {
    const { name, count, lanes, width } = this;
    return range(count).map((k) => {
      const isWhole = (k + 1) * lanes * 8 <= width;
      return isWhole
        ? lines(k)
        : `  if (${name}${k} < ${width / 8}u) {\n${lines(k)}\n  }`;
    }).join("\n");
  }

  /** Lines for both quads of each octet: `q` is where it lies, `x` its variable. */
  eachQuad(lines: (q: string, x: string, id: string) => string): string {
    const { name } = this;
    return this.each((k) =>
      ["a", "b"].map((half) =>
        lines(`${name}${half}${k}`, `${name}x${half}${k}`, `${half}${k}`)
      ).join("\n")
    );
  }

  /** Once the vector is known: what q4 subtracts for its zero of 8. */
  zeros(): string {
    const { name } = this;
    return range(this.count).map((k) =>
      `  let ${name}z${k} = 8.0 * dot(${name}xa${k} + ${name}xb${k}, vec4f(1.0));`
    ).join("\n");
  }
}

/** A matrix, or one of several that only the workgroup knows. */
export interface RowSource {
  readonly format: WeightFormat;
  readonly width: number;
  /** Words before values and scales, as WGSL. */
  readonly values: string;
  readonly scales: string;
}

/** A matrix at a known place. */
export function rowsOf(
  { format, width, values, scales }: MatrixPlace,
): RowSource {
  return { format, width, values: `${values}u`, scales: `${scales}u` };
}

/** A row that is multiplied. */
export interface ProductRow {
  /** Its number among the rows of a thread. */
  readonly i: number;
  /** Ends the names of its variables. */
  readonly id: string;
  /** Its row in the matrix, as WGSL. */
  readonly row: string;
}

/** Declares the words of rows, of any of these formats. */
export function declareWords(
  { name, count }: Octets,
  formats: readonly WeightFormat[],
  rows: readonly ProductRow[],
): string {
  const lines: string[] = [];
  for (const { id } of rows) {
    for (const k of range(count)) {
      const at = `${name}${id}_${k}`;
      if (formats.some((format) => format !== "f32")) {
        lines.push(`  var w${at} = 0u; var s${at} = 0u;`);
      }
      if (formats.includes("q8")) lines.push(`  var v${at} = 0u;`);
      if (formats.includes("f32")) {
        lines.push(`  var fa${at} = vec4f(); var fb${at} = vec4f();`);
      }
    }
  }
  return lines.join("\n");
}

/** Loads the words of rows. */
export function loadWords(
  octets: Octets,
  { format, width, values, scales }: RowSource,
  rows: readonly ProductRow[],
): string {
  const { name } = octets;
  return octets.each((k) =>
    rows.map(({ id, row }) => {
      const at = `${name}${id}_${k}`;
      const [a, b] = [`${name}a${k}`, `${name}b${k}`];
      if (format === "f32") {
        const base = `${values} / 4u + (${row}) * ${width / 4}u`;
        return `  fa${at} = vectors[${base} + ${a}]; fb${at} = vectors[${base} + ${b}];`;
      }
      const scaleWords = Math.ceil(width / (2 * GROUP));
      const scale =
        `  s${at} = words[${scales} + (${row}) * ${scaleWords}u + (${name}${k} >> 3u)];`;
      if (format === "q4") {
        return `  w${at} = words[${values} + (${row}) * ${
          width / 8
        }u + ${name}${k}];\n${scale}`;
      }
      const base = `${values} + (${row}) * ${width / 4}u`;
      return `  w${at} = words[${base} + ${a}]; v${at} = words[${base} + ${b}];\n${scale}`;
    }).join("\n")
  );
}

/** Adds the products of loaded rows to the variables `sum<id>`. */
export function addProducts(
  { name, count }: Octets,
  format: WeightFormat,
  rows: readonly ProductRow[],
): string {
  return rows.flatMap(({ id }) =>
    range(count).map((k) => {
      const at = `${name}${id}_${k}`;
      const [xa, xb] = [`${name}xa${k}`, `${name}xb${k}`];
      const sum = `  sum${id} +=`;
      if (format === "f32") {
        return `${sum} dot(${xa}, fa${at}) + dot(${xb}, fb${at});`;
      }
      const scale = `unpack2x16float(s${at} >> ${name}h${k}).x`;
      return format === "q4"
        ? `${sum} ${scale} * (dot(${xa}, vec4f(unpack4xU8(w${at} & 0x0f0f0f0fu))) +
      dot(${xb}, vec4f(unpack4xU8((w${at} >> 4u) & 0x0f0f0f0fu))) - ${name}z${k});`
        : `${sum} ${scale} * (dot(${xa}, vec4f(unpack4xI8(w${at}))) +
      dot(${xb}, vec4f(unpack4xI8(v${at}))));`;
    })
  ).join("\n");
}

/** Lines for rows of one matrix. */
type RowLines = (source: RowSource, rows: readonly ProductRow[]) => string;

/** What {@link RowProducts} multiplies. */
export interface RowProductsOptions {
  /** How the vector is divided. */
  readonly octets: Octets;
  readonly subgroups: SubgroupFeatures;
  /** Rows of the workgroup. */
  readonly rows: number;
  /** Formats of the matrices. */
  readonly formats: readonly WeightFormat[];
  /**
   * The row of its matrix that a row of the workgroup is, as WGSL; it must be
   * one that exists. `i` counts a thread's rows, `index` those of the workgroup.
   */
  readonly row: (index: string, i: number) => string;
  /** Calls `lines` for each matrix that rows may be of, inside a branch where that varies. */
  readonly source: (rows: readonly ProductRow[], lines: RowLines) => string;
}

/** Options of products with one matrix, from row `first` (WGSL) on. */
export function oneMatrix(
  matrix: MatrixPlace,
  first: string,
): Pick<RowProductsOptions, "formats" | "row" | "source"> {
  return {
    formats: [matrix.format],
    row: (index) => `min(${first} + ${index}, ${matrix.rows - 1}u)`,
    source: (rows, lines) => lines(rowsOf(matrix), rows),
  };
}

/** Parts of a kernel that multiply. */
export interface ProductLines {
  readonly declaration: string;
  /** Before the vector is known. */
  readonly before: string;
  /** Once it is known. */
  readonly after: string;
}

/** The products of a workgroup's rows with its vector. */
export class RowProducts {
  private readonly options: RowProductsOptions;
  private readonly subgroupSize: number;
  /** Rows of a thread that are loaded together. */
  private readonly batches: readonly (readonly ProductRow[])[];
  private readonly rowsPerThread: number;

  constructor(options: RowProductsOptions) {
    this.options = options;
    const { octets, rows } = options;
    const { subgroupSize } = options.subgroups;
    this.subgroupSize = fits(subgroupSize, octets.lanes) ? subgroupSize : 0;
    this.rowsPerThread = Math.ceil(rows / octets.slots);
    const size = this.subgroupSize > 0
      ? Math.max(1, Math.floor(BATCH_WORDS / octets.count))
      : BATCH_ROWS_IN_MEMORY;
    this.batches = range(Math.ceil(this.rowsPerThread / size)).map((b) =>
      range(Math.min(size, this.rowsPerThread - b * size)).map((i) =>
        this.productRow(b * size + i)
      )
    );
  }

  /** Declares memory and `<name>Total(r)`, the product of row r of the workgroup. */
  declaration(): string {
    const { octets: { name, lanes, slots, threads } } = this.options;
    const { subgroupSize, rowsPerThread } = this;
    if (subgroupSize > 0) {
      const parts = lanes / subgroupSize;
      const terms = range(parts).map((p) =>
        `${name}Sums[r * ${parts}u + ${p}u]`
      );
      return `var<workgroup> ${name}Sums: array<f32, ${
        rowsPerThread * slots * parts
      }>;
fn ${name}Total(r: u32) -> f32 { return ${terms.join(" + ")}; }`;
    }
    const batch = Math.min(rowsPerThread, BATCH_ROWS_IN_MEMORY);
    return `var<workgroup> ${name}Sums: array<f32, ${batch * threads}>;
var<workgroup> ${name}Totals: array<f32, ${rowsPerThread * slots}>;
fn ${name}Total(r: u32) -> f32 { return ${name}Totals[r]; }`;
  }

  /** Loads the first rows: before the vector is known, after `Octets.declare()`. */
  before(): string {
    const { octets: { name, lanes, slots } } = this.options;
    const slot = slots > 1 ? [`  let ${name}Slot = thread / ${lanes}u;`] : [];
    return [...slot, this.load(this.batches[0]!)].join("\n");
  }

  /** All products, once the vector is known; ends in a barrier. */
  after(): string {
    const { options: { octets, formats, source }, batches } = this;
    const lines = formats.includes("q4") ? [octets.zeros()] : [];
    batches.forEach((rows, b) => {
      const next = batches[b + 1];
      if (next) lines.push(this.load(next));
      lines.push(...rows.map(({ id }) => `  var sum${id} = 0.0;`));
      lines.push(
        source(rows, ({ format }, own) => addProducts(octets, format, own)),
      );
      lines.push(
        this.subgroupSize > 0
          ? this.sumInSubgroups(rows)
          : this.sumInMemory(rows),
      );
    });
    if (this.subgroupSize > 0) lines.push("  workgroupBarrier();");
    return lines.join("\n");
  }

  private load(rows: readonly ProductRow[]): string {
    const { octets, formats, source } = this.options;
    return `${declareWords(octets, formats, rows)}
${source(rows, (matrix, own) => loadWords(octets, matrix, own))}`;
  }

  private productRow(i: number): ProductRow {
    const { octets: { name, slots }, row } = this.options;
    const index = slots > 1 ? `${i * slots}u + ${name}Slot` : `${i}u`;
    return { i, id: `${name}${i}`, row: row(index, i) };
  }

  private sumInSubgroups(rows: readonly ProductRow[]): string {
    const { options: { octets: { threads, name } }, subgroupSize } = this;
    const parts = threads / subgroupSize;
    return rows.map(({ i, id }) =>
      `  { let total = subgroupAdd(sum${id});
    if (subgroupLane == 0u) { ${name}Sums[${
        i * parts
      }u + subgroup] = total; } }`
    ).join("\n");
  }

  private sumInMemory(rows: readonly ProductRow[]): string {
    const { octets: { threads, lanes, slots, name } } = this.options;
    const lines = ["  workgroupBarrier();"];
    rows.forEach(({ id }, at) =>
      lines.push(`  ${name}Sums[${at * threads}u + thread] = sum${id};`)
    );
    let left = lanes;
    while (left > MIN_LANES) {
      left /= 2;
      lines.push(`  workgroupBarrier();\n  if (${name}Lane < ${left}u) {`);
      rows.forEach((_, at) => {
        const sum = `${name}Sums[${at * threads}u + thread`;
        lines.push(`    ${sum}] += ${sum} + ${left}u];`);
      });
      lines.push("  }");
    }
    const terms = range(left).map((p) => `${name}Sums[first + ${p}u]`);
    lines.push(`  workgroupBarrier();
  if (thread < ${rows.length * slots}u) {
    let first = (thread / ${slots}u) * ${threads}u + (thread % ${slots}u) * ${lanes}u;
    ${name}Totals[${rows[0]!.i * slots}u + thread] = ${terms.join(" + ")};
  }
  workgroupBarrier();`);
    return lines.join("\n");
  }
}
