// What a GPU is and what kernels make of it, for people who wonder why
// something is slow or does not fit.
import { isSoftware } from "./adapter.ts";
import {
  type GpuLimitName,
  WANTED_LIMITS,
  type WebGpuContext,
} from "./context.ts";
import { testHalves, testTimestamps } from "./features.ts";

/** An optional feature of WebGPU. */
export interface GpuFeatureInfo {
  /** Whether the GPU was opened with it. */
  readonly granted: boolean;
  /** Whether a small computation with it gave the right numbers. */
  readonly works: boolean;
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
  /** Optional features of WebGPU. */
  readonly features: {
    /** Sums across threads; `size` is the threads of each, 0 where kernels do without. */
    readonly subgroups: GpuFeatureInfo & { readonly size: number };
    /** Arithmetic in halves, which kernels do without. */
    readonly shaderF16: GpuFeatureInfo;
    /** Times of kernels, for benches. */
    readonly timestampQuery: GpuFeatureInfo;
  };
}

/** Asks the GPU, and tries its features. */
export async function gpuInfo(
  { gpu, limits, subgroups }: WebGpuContext,
): Promise<GpuInfo> {
  const { features } = gpu;
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
    features: {
      subgroups: {
        granted: features.has("subgroups" as GPUFeatureName),
        works: size > 0,
        size,
      },
      shaderF16: {
        granted: features.has("shader-f16"),
        works: await testHalves(gpu),
      },
      timestampQuery: {
        granted: features.has("timestamp-query"),
        works: await testTimestamps(gpu),
      },
    },
  };
}
