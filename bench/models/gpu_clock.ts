// Time on the GPU by timestamp queries, beside the clock of the host: of whole
// passes, or of each dispatch, which then has a pass of its own. It stands
// between the library and WebGPU, so that the library measures nothing itself.
import { Readback } from "../../src/backends/webgpu/readback.ts";

/** Query sets of WebGPU have at most so many places. */
const MAX_QUERIES = 4096;
/** QUERY_RESOLVE and COPY_SRC. */
const RESOLVE_USAGE = 0x200 | 0x4;

/** What the GPU did between two calls of {@link GpuClock.take}. */
export interface GpuTimes {
  /** Compute passes that the library began. */
  readonly passes: number;
  readonly dispatches: number;
  /** Milliseconds from the making of encoders to their end. */
  readonly encodingMs: number;
  /** Milliseconds of all passes; `undefined` without timestamps. */
  readonly ms: number | undefined;
  /** Milliseconds by the label of the pipeline, where each dispatch has its pass. */
  readonly kernels: ReadonlyMap<string, { ms: number; count: number }>;
}

/** Counts and times the compute passes of a process. */
export class GpuClock {
  /** Gives each dispatch a pass of its own, and with it a time. */
  profiling = false;
  private passes = 0;
  private dispatches = 0;
  private encodingMs = 0;
  private labels: string[] = [];
  private timed = 0;
  private readonly gpu: GPUDevice;
  private readonly queries: GPUQuerySet | undefined;
  private readonly resolved: GPUBuffer;
  private readonly readback: Readback;

  /** Counts what is recorded on `gpu` from now on. */
  constructor(gpu: GPUDevice) {
    this.gpu = gpu;
    this.readback = new Readback(gpu, { mapsAtOnce: true });
    this.resolved = gpu.createBuffer({
      size: 8 * MAX_QUERIES,
      usage: RESOLVE_USAGE,
    });
    if (gpu.features.has("timestamp-query")) {
      this.queries = gpu.createQuerySet({
        type: "timestamp",
        count: MAX_QUERIES,
      });
    }
    const { createCommandEncoder } = gpu;
    gpu.createCommandEncoder = (descriptor) =>
      this.timedEncoder(createCommandEncoder.call(gpu, descriptor));
  }

  /** What was done since the last call. */
  async take(): Promise<GpuTimes> {
    const { passes, dispatches, encodingMs, labels } = this;
    const spans = await this.read();
    this.passes =
      this.dispatches =
      this.encodingMs =
      this.timed =
        0;
    this.labels = [];
    const counts = { passes, dispatches, encodingMs };
    if (!spans) return { ...counts, ms: undefined, kernels: new Map() };
    const kernels = new Map<string, { ms: number; count: number }>();
    let ms = 0;
    spans.forEach((span, i) => {
      const known = kernels.get(labels[i]!) ?? { ms: 0, count: 0 };
      known.ms += span;
      known.count++;
      kernels.set(labels[i]!, known);
      ms += span;
    });
    return { ...counts, ms, kernels };
  }

  private timedEncoder(encoder: GPUCommandEncoder): GPUCommandEncoder {
    const started = performance.now();
    const { beginComputePass, finish } = encoder;
    encoder.finish = (descriptor) => {
      const commands = finish.call(encoder, descriptor);
      this.encodingMs += performance.now() - started;
      return commands;
    };
    encoder.beginComputePass = (descriptor = {}) => {
      this.passes++;
      const begin = (label: string) =>
        beginComputePass.call(encoder, {
          ...descriptor,
          ...this.times(label),
        });
      return this.profiling
        ? this.passEach(begin)
        : this.counted(begin("pass"));
    };
    return encoder;
  }

  /** Where a pass leaves its times, while there is room. */
  private times(label: string): GPUComputePassDescriptor {
    if (!this.queries || 2 * this.timed + 2 > MAX_QUERIES) return {};
    const first = 2 * this.timed++;
    this.labels.push(label);
    return {
      timestampWrites: {
        querySet: this.queries,
        beginningOfPassWriteIndex: first,
        endOfPassWriteIndex: first + 1,
      },
    };
  }

  private counted(pass: GPUComputePassEncoder): GPUComputePassEncoder {
    const { dispatchWorkgroups } = pass;
    pass.dispatchWorkgroups = (...sizes) => {
      this.dispatches++;
      return dispatchWorkgroups.apply(pass, sizes);
    };
    return pass;
  }

  /** Stands for a pass, and begins one for each dispatch. */
  private passEach(
    begin: (label: string) => GPUComputePassEncoder,
  ): GPUComputePassEncoder {
    let pipeline: GPUComputePipeline;
    let group: GPUBindGroup;
    return {
      setPipeline: (p: GPUComputePipeline) => void (pipeline = p),
      setBindGroup: (_: number, g: GPUBindGroup) => void (group = g),
      dispatchWorkgroups: (...sizes: [number, number?, number?]) => {
        this.dispatches++;
        const pass = begin(pipeline.label);
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(...sizes);
        pass.end();
      },
      end: () => {},
    } as unknown as GPUComputePassEncoder;
  }

  /** Milliseconds of each timed pass. */
  private async read(): Promise<number[] | undefined> {
    const { gpu, queries, timed } = this;
    if (!queries || timed === 0) return undefined;
    const size = 16 * timed;
    const target = await this.readback.reserve(size);
    const encoder = gpu.createCommandEncoder();
    encoder.resolveQuerySet(queries, 0, 2 * timed, this.resolved, 0);
    encoder.copyBufferToBuffer(this.resolved, 0, target, 0, size);
    gpu.queue.submit([encoder.finish()]);
    const times = new BigUint64Array(await this.readback.read(size));
    return Array.from(
      { length: timed },
      (_, i) => Number(times[2 * i + 1]! - times[2 * i]!) / 1e6,
    );
  }
}

/** Lines of a table of kernels, the longest first. */
export function kernelTable({ kernels, ms }: GpuTimes): string[] {
  return [...kernels].sort(([, a], [, b]) => b.ms - a.ms).map(
    ([label, { ms: own, count }]) =>
      `  ${own.toFixed(3).padStart(8)} ms ${
        (100 * own / ms!).toFixed(1).padStart(5)
      } % ${String(count).padStart(5)} x ${
        (1000 * own / count).toFixed(1).padStart(7)
      } us  ${label}`,
  );
}
