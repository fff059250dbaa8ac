// Compiled kernels and bind groups, kept because making one costs more than a
// dispatch. Bindings of a kernel are numbered in the order: what it reads, what
// it writes, its parameters.
import { COMPUTE_STAGE } from "./flags.ts";
import type { GpuMemory } from "./tensors.ts";

/** What a kernel binds: how many buffers it reads, and writes, and bytes of its parameters. */
export interface BindingCounts {
  readonly reads: number;
  readonly writes: number;
  readonly paramBytes: number;
}

/**
 * What every bound part of a buffer has at least. Layouts say so: what they
 * leave open is checked at each dispatch, a tenth of the time of encoding.
 */
export const MIN_BINDING_BYTES = 16;

/** A compiled kernel. */
export interface Pipeline {
  readonly id: number;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** Part of a memory that a kernel binds. */
export interface BoundRange {
  readonly memory: GpuMemory;
  readonly offset: number;
  readonly size: number;
}

/** How often something was made, for tests that nothing is in the long run. */
export interface MadeCounts {
  pipelines: number;
  bindGroups: number;
}

/** Bind groups of a generation; the one before last is forgotten. */
const MAX_BIND_GROUPS = 8192;

/** Pipelines and bind groups of a GPU. */
export class Pipelines {
  readonly made: MadeCounts = { pipelines: 0, bindGroups: 0 };
  private readonly gpu: GPUDevice;
  private readonly layouts = new Map<string, Pipeline["layout"]>();
  private readonly pipelines = new Map<string, Map<string, Pipeline>>();
  private groups = new Map<string, GPUBindGroup>();
  private older = new Map<string, GPUBindGroup>();

  constructor(gpu: GPUDevice) {
    this.gpu = gpu;
  }

  /** The kernel `main` of `code` with these sizes; the label is for tools. */
  pipeline(
    code: string,
    constants: Readonly<Record<string, number>>,
    counts: BindingCounts,
    label: string,
  ): Pipeline {
    let variants = this.pipelines.get(code);
    if (!variants) this.pipelines.set(code, variants = new Map());
    let key = "";
    for (const name in constants) key += `${name}=${constants[name]},`;
    const known = variants.get(key);
    if (known) return known;
    const layout = this.layout(counts);
    const pipeline = this.gpu.createComputePipeline({
      label: `${label} ${key}`,
      layout: this.gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: {
        module: this.gpu.createShaderModule({ code }),
        entryPoint: "main",
        constants: { ...constants },
      },
    });
    const made = { id: this.made.pipelines++, pipeline, layout };
    variants.set(key, made);
    return made;
  }

  /** A bind group of these ranges. */
  bindGroup(
    { id, layout }: Pipeline,
    ranges: readonly BoundRange[],
  ): GPUBindGroup {
    let key = `${id}`;
    for (const { memory, offset, size } of ranges) {
      key += `,${memory.id}:${offset}:${size}`;
    }
    let group = this.groups.get(key);
    if (group) return group;
    group = this.older.get(key) ?? this.makeGroup(layout, ranges);
    if (this.groups.size === MAX_BIND_GROUPS) {
      this.older = this.groups;
      this.groups = new Map();
    }
    this.groups.set(key, group);
    return group;
  }

  private makeGroup(
    layout: GPUBindGroupLayout,
    ranges: readonly BoundRange[],
  ): GPUBindGroup {
    this.made.bindGroups++;
    return this.gpu.createBindGroup({
      layout,
      entries: ranges.map(({ memory: { buffer }, offset, size }, binding) => ({
        binding,
        resource: { buffer, offset, size },
      })),
    });
  }

  private layout(
    { reads, writes, paramBytes }: BindingCounts,
  ): GPUBindGroupLayout {
    const key = `${reads},${writes},${paramBytes}`;
    let layout = this.layouts.get(key);
    if (!layout) {
      const types: GPUBufferBindingType[] = [
        ...Array<GPUBufferBindingType>(reads).fill("read-only-storage"),
        ...Array<GPUBufferBindingType>(writes).fill("storage"),
        ...(paramBytes > 0 ? ["uniform"] as const : []),
      ];
      layout = this.gpu.createBindGroupLayout({
        entries: types.map((type, binding) => ({
          binding,
          visibility: COMPUTE_STAGE,
          buffer: {
            type,
            minBindingSize: type === "uniform" ? paramBytes : MIN_BINDING_BYTES,
          },
        })),
      });
      this.layouts.set(key, layout);
    }
    return layout;
  }
}
