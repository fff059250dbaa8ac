// The matrix kernels of the WebGPU device alone, at the shapes of released
// models, beside a kernel that only reads: share of bandwidth in decode,
// multiply-adds in prefill.
import type { WeightFormat } from "../../src/core/dtype.ts";
import {
  type MatmulRowsOptions,
  matmulRowsWgsl,
} from "../../src/backends/webgpu/kernels/matmul_rows.ts";
import { matmulTilesWgsl } from "../../src/backends/webgpu/kernels/matmul_tiles.ts";
import {
  type PackedTile,
  packedTilesWgsl,
} from "../../src/backends/webgpu/kernels/packed_tiles.ts";
import type { Tiling } from "../../src/backends/webgpu/kernels/matmul_tiles/tiling.ts";
import { chainElementsWgsl } from "../../src/backends/webgpu/kernels/chain.ts";
import { ELEMENT_THREADS } from "../../src/backends/webgpu/kernels/elements.ts";
import { weightLayout } from "../../src/backends/webgpu/weight_layout.ts";
import { benchTiles, MAX_PARTIALS } from "./webgpu_tiles.ts";

/** Storage, copies from and to; see GPUBufferUsage. */
const USAGE = 0x80 | 0x4 | 0x8 | 0x40;
const MAP_READ = 0x1;
const TIMINGS = 7;

/** Reads everything once, so that nothing can be read faster. */
const READ_WGSL = `
@group(0) @binding(0) var<storage, read> data: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
override PER_GROUP: u32; // vectors
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3u) {
  var sum = vec4u();
  let first = group.x * PER_GROUP + thread;
  for (var i = 0u; i < PER_GROUP; i += 2048u) {
${
  Array.from(
    { length: 8 },
    (_, k) => `    sum ^= data[first + i + ${256 * k}u];`,
  ).join("\n")
}
  }
  if ((sum.x ^ sum.y ^ sum.z ^ sum.w) == 0x9e3779b9u) { out[0] = 1u; }
}`;

/** Random bits, with halves of a small size where `SCALES` is 1. */
const FILL_WGSL = `
@group(0) @binding(0) var<storage, read_write> data: array<u32>;
override SCALES: u32;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x; i < arrayLength(&data); i += groups.x * 256u) {
    var h = i * 747796405u + 2891336453u;
    h = ((h >> ((h >> 28u) + 4u)) ^ h) * 277803737u;
    h = (h >> 22u) ^ h;
    data[i] = select(h, (h & 0x03ff03ffu) | 0x20002000u, SCALES == 1u);
  }
}`;

/** A weight's shape. */
export interface Product {
  readonly name: string;
  readonly format: WeightFormat;
  readonly width: number;
  readonly outputs: number;
}

const PRODUCTS: readonly Product[] = [
  { name: "q, o", format: "q4", width: 2048, outputs: 2048 },
  { name: "k, v", format: "q4", width: 2048, outputs: 512 },
  { name: "gate E2B", format: "q4", width: 2048, outputs: 8192 },
  { name: "gate E4B", format: "q4", width: 2048, outputs: 16384 },
  { name: "down E2B", format: "q4", width: 8192, outputs: 2048 },
  { name: "down E4B", format: "q4", width: 16384, outputs: 2048 },
  { name: "altup", format: "q8", width: 2048, outputs: 2048 },
  { name: "head", format: "q8", width: 2048, outputs: 262400 },
  { name: "f32", format: "f32", width: 2048, outputs: 4096 },
];

/** Prints a table of the kernels. */
export async function benchKernels(tiny: boolean): Promise<void> {
  const adapter = (await navigator.gpu.requestAdapter())!;
  const { limits, info } = adapter;
  const requiredLimits = {
    maxBufferSize: limits.maxBufferSize,
    maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
  };
  const { gpu, subgroupSize } = await openDevice(adapter, requiredLimits, info);
  const bench = new KernelBench(gpu, tiny ? 2 ** 21 : 320 * 2 ** 20);
  console.log(
    `subgroups of ${subgroupSize || "unknown size: not used"}, ` +
      `working set ${bench.bytes / 2 ** 20} MiB`,
  );
  const read = await bench.readBandwidth(limits.maxStorageBufferBindingSize);
  console.log(`read                             ${read.toFixed(0)} GB/s`);
  for (const product of PRODUCTS) {
    const shape = tiny
      ? { ...product, outputs: Math.min(64, product.outputs) }
      : product;
    for (const variant of variants(shape, subgroupSize, tiny)) {
      const { seconds, bytes } = await bench.rows(shape, variant);
      const rate = bytes / seconds / 1e9;
      console.log(
        `${product.name.padEnd(10)} ${shape.outputs} x ${shape.width} ` +
          `${product.format} outputs ${variant.outputs} threads ${variant.threads} ` +
          `subgroup ${variant.subgroupSize}: ${
            (seconds * 1e6).toFixed(1)
          } us, ` +
          `${rate.toFixed(0)} GB/s, ${(100 * rate / read).toFixed(0)} %`,
      );
    }
  }
  await benchTiles(bench, PRODUCTS, tiny);
  gpu.destroy();
}
async function openDevice(
  adapter: GPUAdapter,
  requiredLimits: Record<string, number>,
  { subgroupMinSize, subgroupMaxSize }: GPUAdapterInfo,
): Promise<{ gpu: GPUDevice; subgroupSize: number }> {
  const steady = subgroupMinSize === subgroupMaxSize ? subgroupMinSize ?? 0 : 0;
  try {
    const requiredFeatures = ["subgroups" as GPUFeatureName];
    const gpu = await adapter.requestDevice({
      requiredLimits,
      requiredFeatures,
    });
    return { gpu, subgroupSize: steady };
  } catch (error) {
    console.log(`no subgroups: ${(error as Error).message}`);
    const gpu = await adapter.requestDevice({ requiredLimits });
    return { gpu, subgroupSize: 0 };
  }
}

/** Kernels of one product to compare. */
function variants(
  { format, width }: Product,
  subgroup: number,
  tiny: boolean,
): MatmulRowsOptions[] {
  const common = {
    format,
    width,
    rows: 1,
    after: [],
    enablesSubgroups: false,
    packedDots: false,
  };
  const found: MatmulRowsOptions[] = [];
  for (const threads of tiny ? [64] : [32, 64, 128, 256]) {
    for (const outputs of tiny ? [4] : [2, 4, 8]) {
      const sizes = subgroup > 0 && outputs === 4 ? [0, subgroup] : [subgroup];
      for (const subgroupSize of sizes) {
        found.push({ ...common, threads, outputs, subgroupSize });
      }
    }
  }
  return found;
}

/** Buffers and the clock. */
export class KernelBench {
  readonly bytes: number;
  private readonly gpu: GPUDevice;
  private readonly data: GPUBuffer;
  private readonly scales: GPUBuffer;
  private readonly x: GPUBuffer;
  private readonly y: GPUBuffer;
  private readonly partials: GPUBuffer;
  private readonly map: GPUBuffer;

  constructor(gpu: GPUDevice, bytes: number) {
    this.gpu = gpu;
    this.bytes = bytes;
    const buffer = (size: number) => gpu.createBuffer({ size, usage: USAGE });
    // The head is larger than the working set.
    this.data = buffer(Math.max(bytes, bytes > 2 ** 22 ? 640 * 2 ** 20 : 0));
    this.scales = buffer(this.data.size / 4);
    const most = bytes > 2 ** 22 ? 2 ** 26 : 2 ** 20;
    this.x = buffer(most);
    this.y = buffer(most);
    this.partials = buffer(4 * MAX_PARTIALS);
    this.map = gpu.createBuffer({ size: 4, usage: 0x8 | MAP_READ });
    this.fill(this.data, 0);
    this.fill(this.scales, 1);
    this.fill(this.x, 1);
  }

  /** GB/s of a kernel that only reads. */
  async readBandwidth(maxBinding: number): Promise<number> {
    const size = Math.min(this.bytes, maxBinding);
    const perGroup = 2048 * 4;
    const groups = Math.floor(size / 16 / perGroup);
    const pipeline = this.pipeline(READ_WGSL, { PER_GROUP: perGroup });
    const group = this.group(pipeline, [[this.data, 0, size], [this.y]]);
    const repeats = this.bytes > 2 ** 22 ? 8 : 1;
    const seconds = await this.time((pass) => {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      for (let i = 0; i < repeats; i++) pass.dispatchWorkgroups(groups);
    });
    return repeats * groups * perGroup * 16 / seconds / 1e9;
  }

  /** Seconds and bytes of a product with one row; each time with other weights. */
  async rows(
    { format, width, outputs }: Product,
    options: MatmulRowsOptions,
  ): Promise<{ seconds: number; bytes: number }> {
    const layout = weightLayout(format, width);
    const values = layout.valueBytes * outputs;
    const scales = layout.scaleBytes * outputs;
    const pipeline = this.pipeline(matmulRowsWgsl(options), {
      FIRST: 0,
      PART: outputs,
      OUTPUTS: outputs,
    });
    const stride = align(values);
    const copies = Math.max(1, Math.floor(this.bytes / stride));
    const groups = Array.from(
      { length: copies },
      (_, i) =>
        this.group(pipeline, [
          [this.x],
          [this.data, i * stride, values],
          ...(scales > 0
            ? [[this.scales, i * align(scales), scales] as const]
            : []),
          [this.y],
        ]),
    );
    const count = Math.ceil(outputs / options.outputs);
    const rows = Math.ceil(count / 65535);
    const repeats = Math.max(copies, this.bytes > 2 ** 22 ? 16 : 1);
    const seconds = await this.time((pass) => {
      pass.setPipeline(pipeline);
      for (let i = 0; i < repeats; i++) {
        pass.setBindGroup(0, groups[i % copies]!);
        pass.dispatchWorkgroups(Math.ceil(count / rows), rows);
      }
    });
    return { seconds: seconds / repeats, bytes: values + scales };
  }

  /** Seconds of a product with many rows. */
  tiles(product: Product, rows: number, tiling: Tiling): Promise<number> {
    const { format, width, outputs } = product;
    const { tile, splits, span } = tiling;
    const code = matmulTilesWgsl({ format, lanes: 4, gated: false, tile });
    return this.manyRows(product, rows, { tile, splits }, code, [this.x], [
      rows,
      width,
      0,
      outputs,
      outputs,
      span,
    ]);
  }

  /** Seconds of a product with many rows that are bytes already. */
  packedTiles(
    product: Product,
    rows: number,
    { tile, splits, span }: Tiling<PackedTile>,
  ): Promise<number> {
    const { format, width, outputs } = product;
    if (format === "f32") throw new TypeError("Wanted quantised weights");
    const code = packedTilesWgsl({ format, gated: false, tile });
    return this.manyRows(
      product,
      rows,
      { tile, splits },
      code,
      [this.x, this.x],
      [rows, width / 32, 0, outputs, outputs, span / 8],
    );
  }

  private async manyRows(
    { format, width, outputs }: Product,
    rows: number,
    { tile, splits }: Pick<
      Tiling<Pick<PackedTile, "rows" | "outputs">>,
      "tile" | "splits"
    >,
    code: string,
    x: readonly GPUBuffer[],
    params: readonly number[],
  ): Promise<number> {
    const { valueBytes, scaleBytes } = weightLayout(format, width);
    const pipeline = this.pipeline(code, {});
    const group = this.group(pipeline, [
      ...x.map((buffer) => [buffer] as const),
      [this.data, 0, valueBytes * outputs],
      ...(scaleBytes > 0
        ? [[this.scales, 0, scaleBytes * outputs] as const]
        : []),
      [splits > 1 ? this.partials : this.y],
      [this.uniform(...params)],
    ]);
    const count = rows * outputs / 4;
    const sum = chainElementsWgsl([], { lanes: 4, isSplit: true });
    const adding = this.pipeline(sum, {});
    const addGroup = this.group(adding, [
      [this.partials],
      [this.y],
      [this.uniform(count, splits)],
    ]);
    const repeats = this.bytes > 2 ** 22 ? 8 : 1;
    const seconds = await this.time((pass) => {
      for (let i = 0; i < repeats; i++) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(
          Math.ceil(outputs / tile.outputs),
          Math.ceil(rows / tile.rows),
          splits,
        );
        if (splits === 1) continue;
        const all = Math.ceil(count / ELEMENT_THREADS);
        const gridRows = Math.ceil(all / 65535);
        pass.setPipeline(adding);
        pass.setBindGroup(0, addGroup);
        pass.dispatchWorkgroups(Math.ceil(all / gridRows), gridRows);
      }
    });
    return seconds / repeats;
  }

  private uniform(...values: readonly number[]): GPUBuffer {
    const size = 32;
    const buffer = this.gpu.createBuffer({ size, usage: USAGE });
    this.gpu.queue.writeBuffer(buffer, 0, Uint32Array.from(values));
    return buffer;
  }

  private fill(buffer: GPUBuffer, scales: number): void {
    const pipeline = this.pipeline(FILL_WGSL, { SCALES: scales });
    const size = Math.min(
      buffer.size,
      this.gpu.limits.maxStorageBufferBindingSize,
    );
    const group = this.group(pipeline, [[buffer, 0, size]]);
    const encoder = this.gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(4096);
    pass.end();
    this.gpu.queue.submit([encoder.finish()]);
  }

  private pipeline(
    code: string,
    constants: Record<string, number>,
  ): GPUComputePipeline {
    return this.gpu.createComputePipeline({
      layout: "auto",
      compute: { module: this.gpu.createShaderModule({ code }), constants },
    });
  }

  private group(
    pipeline: GPUComputePipeline,
    ranges: readonly (readonly [GPUBuffer, number?, number?])[],
  ): GPUBindGroup {
    return this.gpu.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: ranges.map(([buffer, offset = 0, size = buffer.size], i) => ({
        binding: i,
        resource: { buffer, offset, size },
      })),
    });
  }

  /**
   * Seconds of a pass, the best of a few. Waiting in Deno takes 11 ms, unless
   * one does not await a buffer that was mapped before.
   */
  private async time(
    record: (pass: GPUComputePassEncoder) => void,
  ): Promise<number> {
    this.gpu.pushErrorScope("validation");
    let best = Infinity;
    for (let i = 0; i <= TIMINGS; i++) {
      const encoder = this.gpu.createCommandEncoder();
      const pass = encoder.beginComputePass();
      record(pass);
      pass.end();
      encoder.copyBufferToBuffer(this.y, 0, this.map, 0, 4);
      const commands = encoder.finish();
      const started = performance.now();
      this.gpu.queue.submit([commands]);
      const mapped = this.map.mapAsync(MAP_READ);
      if (i === 0) await mapped;
      this.map.getMappedRange();
      if (i > 0) best = Math.min(best, performance.now() - started);
      this.map.unmap();
      mapped.catch(() => {}); // it was unmapped before it was told so
    }
    const problem = await this.gpu.popErrorScope();
    if (problem) throw new Error(problem.message);
    return best / 1000;
  }
}

function align(bytes: number): number {
  return Math.ceil(bytes / 256) * 256;
}
