// Decode and prefill of released shapes on the GPU, with random weights that are
// made here: nothing is read from disk. Then the kernels of decode alone, beside
// a kernel that only reads.
//
// GPU times need timestamp queries; with "profile" decode is also timed kernel by
// kernel, each in a pass of its own, which adds to every time.
//
//   deno run -A --no-check bench/models/webgpu_bench.ts [--tiny] [profile] [e2b] [e4b] [kernels]
import { openGpu } from "../../src/backends/webgpu/context.ts";
import { createWebGpuDevice } from "../../src/backends/webgpu/device.ts";
import type { Gemma3nConfig } from "../../src/models/gemma3n/config.ts";
import { ropeTables } from "../../src/models/gemma3n/rope.ts";
import { kvSpecs } from "../../src/models/gemma3n/sequence_cache.ts";
import { textLogits, textModel } from "../../src/models/gemma3n/text_model.ts";
import {
  type TextWeights,
  textWeights,
} from "../../src/models/gemma3n/text_weights.ts";
import { embedTokens } from "../../src/models/gemma3n/token_embeddings.ts";
import type { Device } from "../../src/ops/device.ts";
import type { KvStore, Tensor } from "../../src/ops/ops.ts";
import { createDenoPlatform } from "../../src/platform/deno.ts";
import { type DecoderSize, E2B, E4B, TINY } from "./decoder_sizes.ts";
import { GpuClock, kernelTable } from "./gpu_clock.ts";
import {
  type Declared,
  declaringLoader,
  fillWeights,
  randomValues,
} from "./random_weights.ts";
import { benchKernels } from "./webgpu_kernels.ts";

/** Steps before the clock starts. */
const WARM_UP = 4;
/** Steps that are timed kernel by kernel. */
const PROFILED = 3;

/** Records steps of one sequence. */
class Steps {
  readonly device: Device;
  readonly weights: TextWeights;
  readonly config: Gemma3nConfig;
  stores: readonly KvStore[] = [];

  constructor(device: Device, weights: TextWeights, config: Gemma3nConfig) {
    this.device = device;
    this.weights = weights;
    this.config = config;
  }

  /** Rows from `firstPosition` on; the last one's logits, or nothing for a chunk in between. */
  record(
    rows: number,
    firstPosition: number,
    last: boolean,
    stores: readonly KvStore[] = this.stores,
  ): Tensor | undefined {
    const { device, config, weights } = this;
    const { textConfig } = config;
    const width = textConfig.numHiddenLayers *
      textConfig.hiddenSizePerLayerInput;
    const ids = Int32Array.from(
      { length: rows },
      (_, i) => (firstPosition + i * 7) % textConfig.vocabSize,
    );
    const embeds = embedTokens(device, weights, undefined, config, ids, []);
    const { hidden } = textModel(device.ops, weights, textConfig, {
      embeds,
      tableRows: device.upload(randomValues(rows * width, 1), [rows, width]),
      segments: [{ firstRow: 0, rows, firstPosition }],
      stores: [stores],
      rope: ropeTables(
        device,
        textConfig,
        Int32Array.from({ length: rows }, (_, i) => firstPosition + i),
      ),
      keep: last ? Int32Array.of(rows - 1) : new Int32Array(0),
      fastPrefill: true,
      outputHiddenStates: false,
    });
    return hidden && textLogits(device.ops, weights, textConfig, hidden);
  }
}

/** What a device may be asked for beyond limits; the library itself wants no times. */
const FEATURES = ["subgroups", "shader-f16", "timestamp-query"];

/** Opens the GPU as the library does, with timestamps where it has them. */
async function openTimedGpu(): Promise<GPUDevice> {
  const adapter = (await navigator.gpu.requestAdapter())!;
  const { limits } = adapter;
  const requiredLimits = {
    maxBufferSize: limits.maxBufferSize,
    maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
    maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
    maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
    maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
    maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
  };
  // Deno grants subgroups, though it does not list them.
  const requiredFeatures = FEATURES.filter((name) =>
    name === "subgroups" || adapter.features.has(name as GPUFeatureName)
  ) as GPUFeatureName[];
  const request = (requiredFeatures: GPUFeatureName[]) =>
    adapter.requestDevice({ requiredLimits, requiredFeatures });
  return await request(requiredFeatures).catch((error) => {
    console.log(`without features: ${(error as Error).message}`);
    return request([]);
  });
}

async function benchSize(
  { name, config, contexts, prompt, chunk }: DecoderSize,
  tokens: number,
  profile: boolean,
): Promise<void> {
  const gpu = await openTimedGpu();
  const clock = new GpuClock(gpu);
  const context = await openGpu(gpu);
  const device = createWebGpuDevice({
    platform: createDenoPlatform(),
    context,
  });
  const declared: Declared[] = [];
  const weights = textWeights(
    declaringLoader(device, declared, "q4"),
    config.textConfig,
  );
  const longest = Math.max(prompt, ...contexts) + 2 * (tokens + WARM_UP);
  const specs = kvSpecs(config.textConfig, longest, chunk, "f32");
  device.reserveKv(specs);
  const steps = new Steps(device, weights, config);
  for (const rows of [1, chunk]) {
    device.plan(() => {
      const stores = specs.map((spec) => device.createKvStore(spec));
      return [steps.record(rows, longest - rows, true, stores)!];
    });
  }
  const started = performance.now();
  await device.allocate();
  await fillWeights(device, declared);
  const { weights: weightBytes, kv, activations } = device.requiredBytes();
  print(name, "memory", [
    `weights ${mib(weightBytes)}`,
    `kv ${mib(kv)}`,
    `activations ${mib(activations)}`,
    `filled in ${((performance.now() - started) / 1000).toFixed(1)} s`,
  ]);
  steps.stores = specs.map((spec) => device.createKvStore(spec));
  await benchPrefill(steps, clock, name, prompt, chunk);
  for (const at of contexts) {
    await benchDecode(steps, clock, name, at, tokens, weightBytes);
    if (profile) await profileDecode(steps, clock, name, at + tokens);
  }
  await device[Symbol.asyncDispose]();
  gpu.destroy();
}

async function benchPrefill(
  steps: Steps,
  clock: GpuClock,
  name: string,
  prompt: number,
  chunk: number,
): Promise<void> {
  let best = Infinity;
  let onGpu: number | undefined;
  for (let i = 0; i < 3; i++) {
    await clock.take();
    const started = performance.now();
    for (let first = 0; first < prompt; first += chunk) {
      const rows = Math.min(chunk, prompt - first);
      const logits = steps.record(rows, first, first + rows === prompt);
      await steps.device.read(logits ? [logits] : []);
    }
    const time = performance.now() - started;
    const { ms } = await clock.take();
    if (time < best) [best, onGpu] = [time, ms];
  }
  print(name, `prefill ${prompt}`, [
    `${(prompt / best * 1000).toFixed(0)} tok/s`,
    `${best.toFixed(1)} ms`,
    `on the GPU ${milliseconds(onGpu)}`,
  ]);
}

async function benchDecode(
  steps: Steps,
  clock: GpuClock,
  name: string,
  at: number,
  tokens: number,
  weightBytes: number,
): Promise<void> {
  const { device } = steps;
  for (const readsLogits of [true, false]) {
    const times: number[] = [];
    const gpuTimes: number[] = [];
    let recording = 0;
    let encoding = 0;
    let dispatches = 0;
    for (let i = 0; i < WARM_UP + tokens; i++) {
      const started = performance.now();
      const logits = steps.record(1, at + i, true)!;
      const recorded = performance.now();
      const [values] = await device.read(readsLogits ? [logits] : []);
      const ended = performance.now();
      const taken = await clock.take();
      dispatches = taken.dispatches;
      if (values && !values.every(Number.isFinite)) {
        throw new Error(`Logits of ${name} at ${at + i} are not finite`);
      }
      if (i < WARM_UP) continue;
      times.push(ended - started);
      if (taken.ms !== undefined) gpuTimes.push(taken.ms);
      recording += (recorded - started) / tokens;
      encoding += taken.encodingMs / tokens;
    }
    const median = medianOf(times)!;
    print(name, `decode at ${at}${readsLogits ? "" : ", no logits read"}`, [
      `${(1000 / median).toFixed(1)} tok/s`,
      `${median.toFixed(3)} ms (best ${Math.min(...times).toFixed(3)})`,
      `on the GPU ${milliseconds(medianOf(gpuTimes))}`,
      `recording ${recording.toFixed(3)} ms`,
      `encoding ${encoding.toFixed(3)} ms`,
      `${dispatches} dispatches`,
      `${(weightBytes / median / 1e6).toFixed(0)} GB/s of weights`,
    ]);
  }
}

/** Prints the time of each kernel in a token, the best of a few tokens by their sum. */
async function profileDecode(
  steps: Steps,
  clock: GpuClock,
  name: string,
  at: number,
): Promise<void> {
  clock.profiling = true;
  let best: Awaited<ReturnType<GpuClock["take"]>> | undefined;
  for (let i = 0; i < WARM_UP + PROFILED; i++) {
    await steps.device.read([steps.record(1, at + i, true)!]);
    const taken = await clock.take();
    if (i < WARM_UP || taken.ms === undefined) continue;
    if (best === undefined || taken.ms < best.ms!) best = taken;
  }
  clock.profiling = false;
  if (best === undefined) {
    print(name, `kernels at ${at}`, ["the GPU has no timestamps"]);
    return;
  }
  print(name, `kernels at ${at}`, [`${milliseconds(best.ms)} in all`]);
  for (const line of kernelTable(best)) console.log(line);
}

function medianOf(values: readonly number[]): number | undefined {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

function milliseconds(value: number | undefined): string {
  return value === undefined ? "unknown" : `${value.toFixed(3)} ms`;
}

function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}

function print(name: string, what: string, figures: readonly string[]): void {
  console.log(`${name.padEnd(6)} ${what.padEnd(30)} ${figures.join(", ")}`);
}

const wanted = new Set(Deno.args.filter((arg) => !arg.startsWith("--")));
const tiny = Deno.args.includes("--tiny");
const profile = wanted.delete("profile");
const runs = (name: string) => wanted.size === 0 || wanted.has(name);
const { info } = (await navigator.gpu.requestAdapter())!;
console.log(`${info.vendor} ${info.description}`);
if (runs("kernels")) await benchKernels(tiny);
if (tiny) {
  if (runs("e2b")) await benchSize(TINY, 64, profile);
} else {
  if (runs("e2b")) await benchSize(E2B, 64, profile);
  if (runs("e4b")) await benchSize(E4B, 64, profile);
}
