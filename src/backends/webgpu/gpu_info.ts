// What a GPU is and what kernels make of it, for people who wonder why
// something is slow or does not fit.
import { isSoftware } from "./adapter.ts";
import {
  type GpuLimitName,
  WANTED_LIMITS,
  type WebGpuContext,
} from "./context.ts";

/** Sums across threads, an optional feature of WebGPU that kernels use. */
export interface GpuSubgroupInfo {
  /** Whether the GPU was opened with them. */
  readonly granted: boolean;
  /** Whether a small computation with them gave the right numbers. */
  readonly works: boolean;
  /** Threads of each; 0 where kernels do without. */
  readonly size: number;
}

/** A GPU as the library sees it. */
export interface GpuInfo {
  /** Who made it: a name, in Deno a number, or nothing where the runtime does not tell. */
  readonly vendor: string;
  /** Its family; may be empty. */
  readonly architecture: string;
  /** Its name; may be empty. */
  readonly description: string;
  /** Whether it is a program on the processor. */
  readonly isSoftware: boolean;
  /** In bytes, threads or buffers, under the names of WebGPU. */
  readonly limits: Readonly<Record<GpuLimitName, number>>;
  /** What kernels use where it works. */
  readonly subgroups: GpuSubgroupInfo;
  /**
   * Which of "shader-f16" and "timestamp-query" the adapter lists, or the caller's
   * device was opened with. Kernels use neither.
   */
  readonly features: readonly string[];
}

/** What the library knows of the GPU. */
export function gpuInfo(
  { gpu, limits, subgroups, listedFeatures }: WebGpuContext,
): GpuInfo {
  // Browsers have it on a GPUDevice since 2024 only.
  const info: GPUAdapterInfo | undefined = gpu.adapterInfo;
  const { subgroupSize: size } = subgroups;
  return {
    vendor: info?.vendor ?? "",
    architecture: info?.architecture ?? "",
    description: info?.description ?? "",
    isSoftware: info !== undefined && isSoftware(info),
    limits: Object.fromEntries(
      WANTED_LIMITS.map((name) => [name, limits[name]]),
    ) as Record<GpuLimitName, number>,
    subgroups: {
      granted: gpu.features.has("subgroups" as GPUFeatureName),
      works: size > 0,
      size,
    },
    features: listedFeatures,
  };
}
