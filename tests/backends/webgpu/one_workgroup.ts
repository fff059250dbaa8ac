// A kernel of a decoder layer by itself: one workgroup over a vector and weights.
import { BUFFER_USAGE, MAP_READ } from "../../../src/backends/webgpu/flags.ts";
import { WEIGHT_BINDINGS } from "../../../src/backends/webgpu/kernels/decoder_layer/kernel.ts";

/** Bindings: the vector, the weights as kernels see them, the results, all f32. */
export class OneWorkgroup implements Disposable {
  private readonly gpu: GPUDevice;
  private readonly pipeline: GPUComputePipeline;
  private readonly weights: GPUBuffer;
  private readonly results: GPUBuffer;
  private readonly staging: GPUBuffer;

  /** Compiles `code` and uploads `weights`; it will write `count` results. */
  constructor(
    gpu: GPUDevice,
    code: string,
    weights: Uint8Array<ArrayBuffer>,
    count: number,
  ) {
    const { storage, copySource, copyTarget, mapRead } = BUFFER_USAGE;
    const size = count * Float32Array.BYTES_PER_ELEMENT;
    this.gpu = gpu;
    this.pipeline = gpu.createComputePipeline({
      layout: "auto",
      compute: { module: gpu.createShaderModule({ code }), entryPoint: "main" },
    });
    this.weights = this.upload(weights);
    this.results = gpu.createBuffer({ size, usage: storage | copySource });
    this.staging = gpu.createBuffer({ size, usage: mapRead | copyTarget });
  }

  /** The results for this vector. */
  async run(vector: Float32Array<ArrayBuffer>): Promise<Float32Array> {
    const { gpu, pipeline, results, staging } = this;
    const inputs = this.upload(new Uint8Array(vector.buffer));
    const buffers = [
      inputs,
      ...WEIGHT_BINDINGS.map(() => this.weights),
      results,
    ];
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(
      0,
      gpu.createBindGroup({
        layout: pipeline.getBindGroupLayout(0),
        entries: buffers.map((buffer, binding) => ({
          binding,
          resource: { buffer },
        })),
      }),
    );
    pass.dispatchWorkgroups(1);
    pass.end();
    encoder.copyBufferToBuffer(results, 0, staging, 0, results.size);
    gpu.queue.submit([encoder.finish()]);
    await staging.mapAsync(MAP_READ);
    const found = new Float32Array(staging.getMappedRange().slice(0));
    staging.unmap();
    inputs.destroy();
    return found;
  }

  [Symbol.dispose](): void {
    for (const buffer of [this.weights, this.results, this.staging]) {
      buffer.destroy();
    }
  }

  private upload(bytes: Uint8Array<ArrayBuffer>): GPUBuffer {
    const { storage, copyTarget } = BUFFER_USAGE;
    const buffer = this.gpu.createBuffer({
      size: bytes.byteLength,
      usage: storage | copyTarget,
    });
    this.gpu.queue.writeBuffer(buffer, 0, bytes);
    return buffer;
  }
}
