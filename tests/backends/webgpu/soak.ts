// Generates many tokens on the GPU and counts what there is after each round:
// buffers and their bytes, bind groups, pipelines, memory of the process. A
// control only submits and maps, since runtimes grow by that alone.
import process from "node:process";
import { openGpu } from "../../../src/backends/webgpu/context.ts";
import { BUFFER_USAGE, MAP_READ } from "../../../src/backends/webgpu/flags.ts";
import type { GenerationConfig } from "../../../src/generation/generation_config.ts";
import { detectPlatform } from "../../../src/platform/detect.ts";
import { expectedInputs, loadTiny } from "../../model.ts";

/** What there is after a round. */
export interface SoakRound {
  readonly tokens: number;
  /** Buffers that were made and not destroyed. */
  readonly buffers: number;
  readonly bufferBytes: number;
  /** Bind groups and pipelines ever made. */
  readonly made: number;
  /** Memory of the process. */
  readonly rss: number;
}

/** New tokens of a round: each way of choosing has its turn. */
const ROUND: readonly GenerationConfig[] = [
  { maxNewTokens: 24 },
  { maxNewTokens: 8, outputLogits: true },
  { maxNewTokens: 16, doSample: true, seed: 3, topK: 64, topP: 0.95 },
];

/** Tokens of a round. */
export const ROUND_TOKENS: number = ROUND.reduce(
  (sum, { maxNewTokens }) => sum + maxNewTokens!,
  0,
);

/** Generates so many rounds; `undefined` where there is no GPU. */
export async function soak(
  rounds: number,
  onRound: (round: SoakRound) => void = () => {},
): Promise<SoakRound[] | undefined> {
  const gpu = await openDevice();
  if (gpu === undefined) return undefined;
  const buffers = trackBuffers(gpu);
  try {
    await using model = await loadTiny("webgpu", { device: gpu });
    const { pipelines } = await openGpu(gpu);
    const inputs = await expectedInputs("text");
    const results: SoakRound[] = [];
    while (results.length < rounds) {
      for (const options of ROUND) {
        await model.generate({ ...inputs, eosTokenId: [], ...options });
      }
      const sizes = [...buffers].map((buffer) => buffer.size);
      const { made } = pipelines;
      const round = {
        tokens: ROUND_TOKENS * (results.length + 1),
        buffers: buffers.size,
        bufferBytes: sizes.reduce((sum, size) => sum + size, 0),
        made: made.pipelines + made.bindGroups,
        rss: memoryOfProcess(),
      };
      results.push(round);
      onRound(round);
    }
    return results;
  } finally {
    gpu.destroy();
  }
}

/** Growth of the process by so many submissions, each with a small copy that is mapped. */
export async function control(submits: number): Promise<number> {
  const gpu = (await openDevice())!;
  const size = 256;
  const { copySource, copyTarget, mapRead } = BUFFER_USAGE;
  const from = gpu.createBuffer({ size, usage: copySource | copyTarget });
  const to = gpu.createBuffer({ size, usage: copyTarget | mapRead });
  const step = async () => {
    const encoder = gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(from, 0, to, 0, size);
    gpu.queue.writeBuffer(from, 0, new Uint8Array(size));
    gpu.queue.submit([encoder.finish()]);
    await to.mapAsync(MAP_READ);
    to.unmap();
  };
  const warmUp = Math.ceil(submits / 10);
  for (let i = 0; i < warmUp; i++) await step();
  const before = memoryOfProcess();
  for (let i = 0; i < submits; i++) await step();
  const growth = memoryOfProcess() - before;
  gpu.destroy();
  return growth;
}

async function openDevice(): Promise<GPUDevice | undefined> {
  const { gpu } = await detectPlatform();
  const adapter = await (await gpu?.())?.requestAdapter();
  return await adapter?.requestDevice();
}

/** The buffers that are made with a GPU and not destroyed. */
function trackBuffers(gpu: GPUDevice): ReadonlySet<GPUBuffer> {
  const buffers = new Set<GPUBuffer>();
  const { createBuffer } = gpu;
  gpu.createBuffer = function (descriptor) {
    const buffer = createBuffer.call(gpu, descriptor);
    const { destroy } = buffer;
    buffer.destroy = function () {
      buffers.delete(buffer);
      return destroy.call(buffer);
    };
    buffers.add(buffer);
    return buffer;
  };
  return buffers;
}

/** Resident bytes, without garbage where the runtime lets itself be asked. */
function memoryOfProcess(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return process.memoryUsage().rss;
}
