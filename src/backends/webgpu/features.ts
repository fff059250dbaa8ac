// Which optional features a GPU has, and which of them a small computation has
// shown to work: kernels use no others.
import { BUFFER_USAGE, MAP_READ } from "./flags.ts";
import { ROUNDING_FUNCTIONS } from "./kernels/rounding.ts";

/** Subgroups that work. */
export interface SubgroupFeatures {
  /** Lanes of every subgroup; 0 where their number varies or there are none. */
  readonly subgroupSize: number;
  /** Whether the compiler wants `enable subgroups;`; another one refuses it. */
  readonly enablesSubgroups: boolean;
  /** Whether to multiply four bytes at once: of a row that lanes round with their neighbours, and of many rows. */
  readonly packedDots: boolean;
}

const NO_SUBGROUPS: SubgroupFeatures = {
  subgroupSize: 0,
  enablesSubgroups: false,
  packedDots: false,
};

/** Apple, by name and by number: its GPUs have no instruction for packed products. */
const WITHOUT_PACKED_DOTS: readonly string[] = ["apple", "4203"];

/** Threads of the test: several subgroups of any size. */
const THREADS = 256;

function subgroupTestWgsl(enable: boolean): string {
  return `${enable ? "enable subgroups;" : ""}
@group(0) @binding(0) var<storage, read_write> results: array<vec2f, ${THREADS}>;

@compute @workgroup_size(${THREADS})
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_size) size: u32,
) {
  results[thread] = vec2f(subgroupAdd(f32(thread)), f32(size));
}
`;
}

/** Tries subgroups: consecutive threads, as many in each, and right sums. */
export async function testSubgroups(gpu: GPUDevice): Promise<SubgroupFeatures> {
  if (!gpu.features.has("subgroups" as GPUFeatureName)) return NO_SUBGROUPS;
  const { subgroupMinSize, subgroupMaxSize } = gpu.adapterInfo as {
    subgroupMinSize?: number;
    subgroupMaxSize?: number;
  };
  if (subgroupMinSize !== subgroupMaxSize) return NO_SUBGROUPS;
  for (const enablesSubgroups of [true, false]) {
    const results = await runTest(gpu, subgroupTestWgsl(enablesSubgroups));
    if (results === undefined) continue;
    const subgroupSize = checkResults(results);
    if (subgroupSize === 0) return NO_SUBGROUPS;
    const packedDots = subgroupSize % PACKED_LANES === 0 &&
      !WITHOUT_PACKED_DOTS.includes(gpu.adapterInfo.vendor) &&
      await testPackedDots(gpu, enablesSubgroups);
    return { subgroupSize, enablesSubgroups, packedDots };
  }
  return NO_SUBGROUPS;
}

/** Lanes that exchange what they round. */
const PACKED_LANES = 4;

function packedTestWgsl(enable: boolean): string {
  return `${enable ? "enable subgroups;" : ""}
@group(0) @binding(0) var<storage, read_write> results: array<vec2f, ${THREADS}>;
${ROUNDING_FUNCTIONS}
@compute @workgroup_size(${THREADS})
fn main(@builtin(local_invocation_index) thread: u32) {
  let word = pack4xI8(vec4i(1, -2, 3, -128));
  let own = bytesOf(vec4f(f32(thread & 127u) + 0.25, 4.75, -5.75, 0.75), 1.0);
  results[thread] = vec2f(
    f32(dot4I8Packed(own, word)),
    subgroupShuffleXor(subgroupShuffleXor(f32(thread), 1u), 2u),
  );
}
`;
}

async function testPackedDots(
  gpu: GPUDevice,
  enable: boolean,
): Promise<boolean> {
  const results = await runTest(gpu, packedTestWgsl(enable));
  return results !== undefined && checkPackedDots(results);
}

/** Whether bytes are the nearest, their products right, and lanes found their neighbours. */
export function checkPackedDots(results: Float32Array): boolean {
  for (let thread = 0; thread < THREADS; thread++) {
    const dot = (thread & 127) - 2 * 5 - 3 * 6 - 128;
    if (results[2 * thread] !== dot) return false;
    if (results[2 * thread + 1] !== (thread ^ 3)) return false;
  }
  return true;
}

/** The size that all subgroups have, else 0. */
export function checkResults(results: Float32Array): number {
  const size = results[1]!;
  if (!(size >= 1 && THREADS % size === 0)) return 0;
  for (let thread = 0; thread < THREADS; thread++) {
    const first = thread - thread % size;
    const sum = size * first + size * (size - 1) / 2;
    if (results[2 * thread] !== sum || results[2 * thread + 1] !== size) {
      return 0;
    }
  }
  return size;
}

/** Runs a kernel that writes two numbers a thread; `undefined` when the GPU refuses it. */
async function runTest(
  gpu: GPUDevice,
  code: string,
): Promise<Float32Array | undefined> {
  const size = THREADS * 2 * Float32Array.BYTES_PER_ELEMENT;
  const { storage, copySource, copyTarget, mapRead } = BUFFER_USAGE;
  let refused = true;
  gpu.pushErrorScope("validation");
  const buffer = gpu.createBuffer({ size, usage: storage | copySource });
  const target = gpu.createBuffer({ size, usage: mapRead | copyTarget });
  try {
    const pipeline = gpu.createComputePipeline({
      layout: "auto",
      compute: { module: gpu.createShaderModule({ code }), entryPoint: "main" },
    });
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    const layout = pipeline.getBindGroupLayout(0);
    const entries = [{ binding: 0, resource: { buffer } }];
    pass.setBindGroup(0, gpu.createBindGroup({ layout, entries }));
    pass.dispatchWorkgroups(1);
    pass.end();
    encoder.copyBufferToBuffer(buffer, 0, target, 0, size);
    gpu.queue.submit([encoder.finish()]);
  } finally {
    refused = await gpu.popErrorScope() !== null;
  }
  if (refused) return undefined;
  try {
    await target.mapAsync(MAP_READ);
    return new Float32Array(target.getMappedRange().slice(0));
  } finally {
    buffer.destroy();
    target.destroy();
  }
}
