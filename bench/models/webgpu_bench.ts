// Decode and prefill of released shapes on the GPU, with random weights that are
// made here: nothing is read from disk. Then the kernels of decode alone, beside
// a kernel that only reads.
//
// GPU times need timestamp queries; with "profile" decode is also timed kernel by
// kernel, each in a pass of its own, which adds to every time.
//
//   deno run -A --no-check bench/models/webgpu_bench.ts [--tiny] [profile] [e2b] [e4b] [kernels]
import { FORMAT_BLOCKS, type WeightFormat } from "../../src/core/dtype.ts";
import { numel, type Shape } from "../../src/core/shape.ts";
import { openGpu } from "../../src/backends/webgpu/context.ts";
import { createWebGpuDevice } from "../../src/backends/webgpu/device.ts";
import {
  type Gemma3nConfig,
  parseGemma3nConfig,
} from "../../src/models/gemma3n/config.ts";
import { ropeTables } from "../../src/models/gemma3n/rope.ts";
import { kvSpecs } from "../../src/models/gemma3n/sequence_cache.ts";
import { textLogits, textModel } from "../../src/models/gemma3n/text_model.ts";
import {
  type TextWeights,
  textWeights,
} from "../../src/models/gemma3n/text_weights.ts";
import { embedTokens } from "../../src/models/gemma3n/token_embeddings.ts";
import { weightFormats } from "../../src/models/gemma3n/weight_formats.ts";
import type { Device, WeightSpec } from "../../src/ops/device.ts";
import type { KvStore, Tensor, Weight } from "../../src/ops/ops.ts";
import type { WeightLoader } from "../../src/ops/weight_loader.ts";
import { createDenoPlatform } from "../../src/platform/deno.ts";
import { quantize } from "../../src/quant/blocks.ts";
import { GpuClock, kernelTable } from "./gpu_clock.ts";
import { benchKernels } from "./webgpu_kernels.ts";

/** A decoder to time. */
interface Size {
  readonly name: string;
  readonly config: Gemma3nConfig;
  readonly contexts: readonly number[];
  readonly prompt: number;
  readonly chunk: number;
}

const CHUNK_BYTES = 16 * 2 ** 20;
/** Steps before the clock starts. */
const WARM_UP = 4;
/** Steps that are timed kernel by kernel. */
const PROFILED = 3;

function size(
  name: string,
  layers: number,
  intermediate: number,
  shared: number,
): Size {
  const config = parseGemma3nConfig({
    model_type: "gemma3n_text",
    vocab_size: 262400,
    vocab_size_per_layer_input: 262144,
    hidden_size: 2048,
    intermediate_size: intermediate,
    num_hidden_layers: layers,
    num_attention_heads: 8,
    num_key_value_heads: 2,
    head_dim: 256,
    hidden_size_per_layer_input: 256,
    laurel_rank: 64,
    num_kv_shared_layers: shared,
    sliding_window: 512,
    max_position_embeddings: 32768,
    activation_sparsity_pattern: Array.from(
      { length: layers },
      (_, i) => i < 10 ? 0.95 : 0,
    ),
  });
  return { name, config, contexts: [128, 8192], prompt: 2048, chunk: 512 };
}

const TINY: Size = {
  name: "tiny",
  config: parseGemma3nConfig({
    model_type: "gemma3n_text",
    vocab_size: 512,
    vocab_size_per_layer_input: 512,
    hidden_size: 128,
    intermediate_size: 256,
    num_hidden_layers: 10,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 32,
    hidden_size_per_layer_input: 32,
    laurel_rank: 8,
    num_kv_shared_layers: 5,
    sliding_window: 32,
    max_position_embeddings: 512,
    activation_sparsity_pattern: Array.from(
      { length: 10 },
      (_, i) => i < 2 ? 0.95 : 0,
    ),
  }),
  contexts: [16, 200],
  prompt: 128,
  chunk: 64,
};

/** Weights that were declared, to be filled. */
interface Declared {
  readonly weight: Weight;
  readonly spec: WeightSpec;
}

function loader(
  device: Device,
  declared: Declared[],
  prefix: string,
): WeightLoader {
  const choose = weightFormats("q4");
  return {
    weight(kind, name, shape, options) {
      const unformatted = {
        name: prefix + name,
        kind,
        shape,
        sparseInput: options?.sparseInput,
      };
      const format = choose(unformatted, "bf16");
      const spec = { ...unformatted, format };
      const weight = device.declareWeight(spec);
      declared.push({ weight, spec });
      return weight;
    },
    scope: (inner) => loader(device, declared, prefix + inner),
  };
}

/** Fills weights with the same random rows again and again; norms with ones. */
async function fill(
  device: Device,
  declared: readonly Declared[],
): Promise<void> {
  const rows = new Map<string, Uint8Array>();
  for (const { weight, spec } of declared) {
    const [count = 1] = spec.shape;
    const width = numel(spec.shape.slice(1));
    const format = spec.format ?? "f32";
    const perWrite = Math.max(1, Math.floor(CHUNK_BYTES / (4 * width)));
    const key = `${format},${width},${spec.kind}`;
    let bytes = rows.get(key);
    if (
      !bytes ||
      bytes.length < rowBytes(format, width) * Math.min(perWrite, count)
    ) {
      bytes = randomRows(format, Math.min(perWrite, count), spec.shape);
      rows.set(key, bytes);
    }
    for (let first = 0; first < count; first += perWrite) {
      const n = Math.min(perWrite, count - first);
      await device.writeWeight(weight, {
        firstRow: first,
        rows: n,
        dtype: FORMAT_BLOCKS[format] ?? "f32",
        bytes: bytes.subarray(0, n * rowBytes(format, width)),
      });
    }
  }
}

function rowBytes(format: WeightFormat, width: number): number {
  if (format === "f32") return 4 * width;
  return width / 32 * (format === "q8" ? 34 : 18);
}

function randomRows(
  format: WeightFormat,
  rows: number,
  shape: Shape,
): Uint8Array {
  const width = numel(shape.slice(1));
  const values = randomValues(rows * width, Math.sqrt(3 / width));
  if (shape.length === 1) values.fill(1);
  const blocks = FORMAT_BLOCKS[format];
  return blocks ? quantize(values, blocks) : new Uint8Array(values.buffer);
}

function randomValues(count: number, limit: number): Float32Array {
  const values = new Float32Array(count);
  let state = count | 1;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    values[i] = state / 2 ** 31 * limit;
  }
  return values;
}

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
  { name, config, contexts, prompt, chunk }: Size,
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
  const weights = textWeights(loader(device, declared, ""), config.textConfig);
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
  await fill(device, declared);
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
    }
    const median = medianOf(times)!;
    print(name, `decode at ${at}${readsLogits ? "" : ", no logits read"}`, [
      `${(1000 / median).toFixed(1)} tok/s`,
      `${median.toFixed(3)} ms (best ${Math.min(...times).toFixed(3)})`,
      `on the GPU ${milliseconds(medianOf(gpuTimes))}`,
      `recording ${recording.toFixed(3)} ms`,
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
  if (runs("e2b")) await benchSize(TINY, 4, profile);
} else {
  if (runs("e2b")) await benchSize(size("E2B", 30, 8192, 10), 64, profile);
  if (runs("e4b")) await benchSize(size("E4B", 35, 16384, 15), 64, profile);
}
