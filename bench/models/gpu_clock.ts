// Counts what the library gives to a GPU, keeps it, and times it by doing it
// again: a list of dispatches some times over in one pass, as long as the host
// would notice. Timestamp queries would be simpler, but end in a hang on some
// drivers, and the gaps between dispatches, which matter most in decode, lie
// outside of them. The clock stands between the library and WebGPU, so that the
// library measures nothing itself.
import { Readback } from "../../src/backends/webgpu/readback.ts";
import { BUFFER_USAGE } from "../../src/backends/webgpu/flags.ts";

/** A replay lasts at least so long, beside which submitting and mapping is little. */
const REPLAY_MS = 8;
/** Replays of which the fastest counts. */
const REPLAYS = 3;
const MARK_BYTES = 4;

/** A dispatch that can be done again. */
export interface KeptDispatch {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly workgroups: Parameters<GPUComputePassEncoder["dispatchWorkgroups"]>;
}

/** What the library gave to the GPU between two calls of {@link GpuClock.take}. */
export interface GpuWork {
  readonly passes: number;
  readonly dispatches: number;
  /** Milliseconds from the making of encoders to their end. */
  readonly encodingMs: number;
  /** The dispatches, where they were to be kept. */
  readonly kept: readonly KeptDispatch[];
}

/** Time of kernels by their pipeline's label. */
export interface KernelTime {
  readonly label: string;
  readonly count: number;
  /** Milliseconds of all `count` dispatches, with the gaps between them. */
  readonly ms: number;
}

/** Counts, keeps and times the dispatches of a process. */
export class GpuClock {
  /** Keeps the dispatches that are recorded from now on. */
  keeping = false;
  private passes = 0;
  private dispatches = 0;
  private encodingMs = 0;
  private kept: KeptDispatch[] = [];
  private readonly gpu: GPUDevice;
  private readonly mark: GPUBuffer;
  private readonly readback: Readback;
  private readonly createEncoder: () => GPUCommandEncoder;
  private readonly seesPasses: boolean;

  /**
   * Counts what is recorded on `gpu` from now on. Without `seesPasses` it counts
   * no dispatches, and does not make their encoding longer.
   */
  constructor(gpu: GPUDevice, { seesPasses = true } = {}) {
    this.gpu = gpu;
    this.seesPasses = seesPasses;
    this.readback = new Readback(gpu, { mapsAtOnce: true });
    this.mark = gpu.createBuffer({
      size: MARK_BYTES,
      usage: BUFFER_USAGE.copySource,
    });
    const { createCommandEncoder } = gpu;
    this.createEncoder = () => createCommandEncoder.call(gpu);
    gpu.createCommandEncoder = (descriptor) =>
      this.watched(createCommandEncoder.call(gpu, descriptor));
  }

  /** What was done since the last call. */
  take(): GpuWork {
    const { passes, dispatches, encodingMs, kept } = this;
    this.passes = this.dispatches = this.encodingMs = 0;
    this.kept = [];
    return { passes, dispatches, encodingMs, kept };
  }

  /** Milliseconds of the dispatches, one after another in a pass. */
  async time(work: readonly KeptDispatch[]): Promise<number> {
    await this.replay(work, 1);
    const turns = Math.ceil(REPLAY_MS / await this.replay(work, 1));
    let best = Infinity;
    for (let i = 0; i < REPLAYS; i++) {
      best = Math.min(best, await this.replay(work, turns) / turns);
    }
    return best;
  }

  /** Times each kernel alone, the longest first; its weights may come from a cache then. */
  async kernels(work: readonly KeptDispatch[]): Promise<KernelTime[]> {
    const byLabel = new Map<string, KeptDispatch[]>();
    for (const one of work) {
      const { label } = one.pipeline;
      const others = byLabel.get(label);
      if (others) others.push(one);
      else byLabel.set(label, [one]);
    }
    const times: KernelTime[] = [];
    for (const [label, own] of byLabel) {
      times.push({ label, count: own.length, ms: await this.time(own) });
    }
    return times.sort((a, b) => b.ms - a.ms);
  }

  /** Milliseconds until the host hears that `turns` times the work are done. */
  private async replay(
    work: readonly KeptDispatch[],
    turns: number,
  ): Promise<number> {
    const target = await this.readback.reserve(MARK_BYTES);
    const encoder = this.createEncoder();
    const pass = encoder.beginComputePass();
    for (let turn = 0; turn < turns; turn++) {
      for (const { pipeline, group, workgroups } of work) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(...workgroups);
      }
    }
    pass.end();
    encoder.copyBufferToBuffer(this.mark, 0, target, 0, MARK_BYTES);
    const commands = encoder.finish();
    const started = performance.now();
    this.gpu.queue.submit([commands]);
    await this.readback.read(MARK_BYTES);
    return performance.now() - started;
  }

  private watched(encoder: GPUCommandEncoder): GPUCommandEncoder {
    const started = performance.now();
    const { beginComputePass, finish } = encoder;
    encoder.finish = (descriptor) => {
      const commands = finish.call(encoder, descriptor);
      this.encodingMs += performance.now() - started;
      return commands;
    };
    if (!this.seesPasses) return encoder;
    encoder.beginComputePass = (descriptor) => {
      this.passes++;
      return this.counted(beginComputePass.call(encoder, descriptor));
    };
    return encoder;
  }

  private counted(pass: GPUComputePassEncoder): GPUComputePassEncoder {
    const { dispatchWorkgroups } = pass;
    pass.dispatchWorkgroups = (...sizes) => {
      this.dispatches++;
      return dispatchWorkgroups.apply(pass, sizes);
    };
    if (this.keeping) this.keep(pass);
    return pass;
  }

  private keep(pass: GPUComputePassEncoder): void {
    const { setPipeline, setBindGroup, dispatchWorkgroups } = pass;
    let pipeline: GPUComputePipeline;
    let group: GPUBindGroup;
    pass.setPipeline = (p) => setPipeline.call(pass, pipeline = p);
    pass.setBindGroup = (index: number, g: GPUBindGroup | null) =>
      setBindGroup.call(pass, index, group = g!);
    pass.dispatchWorkgroups = (...workgroups) => {
      this.kept.push({ pipeline, group, workgroups });
      return dispatchWorkgroups.apply(pass, workgroups);
    };
  }
}

/** Lines of a table of kernels. */
export function kernelTable(times: readonly KernelTime[]): string[] {
  const all = times.reduce((sum, { ms }) => sum + ms, 0);
  return times.map(({ label, count, ms }) =>
    `  ${ms.toFixed(3).padStart(8)} ms ${
      (100 * ms / all).toFixed(1).padStart(5)
    } % ${String(count).padStart(5)} x ${
      (1000 * ms / count).toFixed(1).padStart(7)
    } us  ${label}`
  );
}
