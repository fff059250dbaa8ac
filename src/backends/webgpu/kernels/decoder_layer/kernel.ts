// The frame of a kernel of a decoder layer, and sums over its workgroup.
import type { SubgroupFeatures } from "../../features.ts";
import { type LayerKernel, range } from "./layer_shape.ts";

/** A buffer that a kernel binds. */
export interface KernelBinding {
  readonly name: string;
  /** Type of its elements. */
  readonly element: string;
  readonly writes?: boolean;
  /** Whether it is a view of the weights, which is bound only where it is used. */
  readonly weights?: boolean;
}

/** Parts of a kernel. */
export interface KernelParts {
  readonly threads: number;
  /** In their order. */
  readonly bindings: readonly KernelBinding[];
  /** Fields of the parameters, `u32` each. */
  readonly params?: readonly string[];
  /** Variables of the workgroup, constants and functions. */
  readonly declarations: readonly string[];
  /** Lines of `main`, which has `thread`, `group` and `groups`. */
  readonly body: readonly string[];
}

/** The buffer of a layer's weights, seen as words and as quads. */
export const WEIGHT_BINDINGS: readonly KernelBinding[] = [
  { name: "words", element: "u32", weights: true },
  { name: "vectors", element: "vec4f", weights: true },
];

/**
 * WGSL of `fn storeQuad(q, quad)`, which writes quad `q` of an array of f32. A
 * kernel that writes single elements, too, sees no quads: a compiler may write all
 * of a quad for one element, which another thread's neighbour would be lost by.
 */
export function quadStore(name: string): string {
  return `fn storeQuad(q: u32, quad: vec4f) {
  ${
    range(4).map((i) => `${name}[4u * q + ${i}u] = quad.${"xyzw"[i]};`).join(
      " ",
    )
  }
}`;
}

/** WGSL of a kernel, and how many views of the weights it binds. */
export function kernelCode(
  { subgroupSize, enablesSubgroups }: SubgroupFeatures,
  { threads, bindings, params, declarations, body }: KernelParts,
): Pick<LayerKernel, "code" | "weightViews"> {
  const usesSubgroups = fits(subgroupSize, threads);
  const text = `${declarations.join("\n")}\n${body.join("\n")}`;
  const used = bindings.filter(({ name, weights }) =>
    !weights || text.includes(`${name}[`)
  );
  const lines = used.map(({ name, element, writes }, i) =>
    `@group(0) @binding(${i}) var<storage, ${
      writes ? "read_write" : "read"
    }> ${name}: array<${element}>;`
  );
  if (params) {
    lines.push(
      `struct Params { ${params.map((name) => `${name}: u32`).join(", ")} }`,
      `@group(0) @binding(${used.length}) var<uniform> params: Params;`,
    );
  }
  const code = `${usesSubgroups && enablesSubgroups ? "enable subgroups;" : ""}
${lines.join("\n")}
${declarations.join("\n")}
@compute @workgroup_size(${threads})
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,${
    usesSubgroups
      ? "\n  @builtin(subgroup_invocation_id) subgroupLane: u32,"
      : ""
  }
) {
${usesSubgroups ? `  let subgroup = thread / ${subgroupSize}u;` : ""}
${body.join("\n")}
}
`;
  return { code, weightViews: used.filter(({ weights }) => weights).length };
}

/** Whether sums over a workgroup, or this part of it, can use subgroups. */
export function fits(subgroupSize: number, threads: number): boolean {
  return subgroupSize > 1 && threads % subgroupSize === 0;
}

/**
 * Sums over all threads of a workgroup that each thread gets. Four values share
 * a load; with subgroups each sum has memory of its own, and needs one barrier.
 */
export class WorkgroupSums {
  private readonly threads: number;
  private readonly subgroupSize: number;
  private used = 0;

  constructor({ subgroupSize }: SubgroupFeatures, threads: number) {
    this.threads = threads;
    this.subgroupSize = fits(subgroupSize, threads) ? subgroupSize : 0;
  }

  /** Lines after which variable `total` i is the sum of value i over the workgroup. */
  lines(values: readonly (readonly [total: string, value: string])[]): string {
    const vectors = Math.ceil(values.length / 4);
    const packed = range(vectors).map((v) => values.slice(4 * v, 4 * v + 4));
    return this.subgroupSize > 0
      ? this.bySubgroups(packed)
      : this.byMemory(packed);
  }

  /** Declares what the lines use; to be called after them. */
  declaration(): string {
    return this.used === 0
      ? ""
      : `var<workgroup> workgroupSums: array<vec4f, ${this.used}>;`;
  }

  private bySubgroups(packed: (readonly (readonly string[])[])[]): string {
    const parts = this.threads / this.subgroupSize;
    const lines: string[] = [];
    const base = this.used;
    this.used += packed.length * parts;
    const at = (v: number) => `${base + v * parts}u`;
    packed.forEach((four, v) => {
      const sums = four.map(([, value]) => `subgroupAdd(${value})`);
      lines.push(`  { let sums = ${vec4(sums)};
    if (subgroupLane == 0u) { workgroupSums[${at(v)} + subgroup] = sums; } }`);
    });
    lines.push("  workgroupBarrier();");
    packed.forEach((four, v) => {
      const name = `sums${base}_${v}`;
      const terms = range(parts).map((p) =>
        `workgroupSums[${base + v * parts + p}u]`
      );
      lines.push(`  let ${name} = ${terms.join(" + ")};`, ...take(name, four));
    });
    return lines.join("\n");
  }

  private byMemory(packed: (readonly (readonly string[])[])[]): string {
    const { threads } = this;
    const id = this.used;
    this.used = Math.max(this.used, packed.length * threads);
    // Others may still read an earlier sum.
    const lines = ["  workgroupBarrier();"];
    packed.forEach((four, v) => {
      const values = vec4(four.map(([, value]) => value!));
      lines.push(`  workgroupSums[${v * threads}u + thread] = ${values};`);
    });
    for (let left = threads / 2; left >= 1; left /= 2) {
      lines.push(`  workgroupBarrier();\n  if (thread < ${left}u) {`);
      packed.forEach((_, v) => {
        const at = `workgroupSums[${v * threads}u + thread`;
        lines.push(`    ${at}] += ${at} + ${left}u];`);
      });
      lines.push("  }");
    }
    lines.push("  workgroupBarrier();");
    packed.forEach((four, v) => {
      const name = `sums${id}_${v}_${four[0]![0]}`;
      lines.push(`  let ${name} = workgroupSums[${v * threads}u];`);
      lines.push(...take(name, four));
    });
    return lines.join("\n");
  }
}

function vec4(values: readonly string[]): string {
  return `vec4f(${range(4).map((i) => values[i] ?? "0.0").join(", ")})`;
}

function take(name: string, four: readonly (readonly string[])[]): string[] {
  return four.map(([total], i) => `  let ${total} = ${name}.${"xyzw"[i]};`);
}
