// Decode and prefill of released shapes on the GPU, with random weights that are
// made here: nothing is read from disk. Then the kernels of decode alone, beside
// a kernel that only reads.
//
//   deno run -A --no-check bench/models/webgpu_bench.ts [--tiny] [e2b] [e4b] [kernels]
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

/** Dispatches of this process: the gaps between them may be most of a token's time. */
let dispatchCount = 0;

function countDispatches(): void {
  const { prototype } = GPUComputePassEncoder;
  const { dispatchWorkgroups } = prototype;
  prototype.dispatchWorkgroups = function (...sizes) {
    dispatchCount++;
    return dispatchWorkgroups.apply(this, sizes);
  };
}

async function benchSize(
  { name, config, contexts, prompt, chunk }: Size,
  tokens: number,
): Promise<void> {
  const context = await openGpu(navigator.gpu);
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
  await benchPrefill(steps, name, prompt, chunk);
  for (const at of contexts) {
    await benchDecode(steps, name, at, tokens, weightBytes);
  }
  await device[Symbol.asyncDispose]();
  context.destroy();
}

async function benchPrefill(
  steps: Steps,
  name: string,
  prompt: number,
  chunk: number,
): Promise<void> {
  let best = Infinity;
  for (let i = 0; i < 3; i++) {
    const started = performance.now();
    for (let first = 0; first < prompt; first += chunk) {
      const rows = Math.min(chunk, prompt - first);
      const logits = steps.record(rows, first, first + rows === prompt);
      await steps.device.read(logits ? [logits] : []);
    }
    best = Math.min(best, performance.now() - started);
  }
  print(name, `prefill ${prompt}`, [
    `${(prompt / best * 1000).toFixed(0)} tok/s`,
    `${best.toFixed(1)} ms`,
  ]);
}

async function benchDecode(
  { device, ...steps }: Steps,
  name: string,
  at: number,
  tokens: number,
  weightBytes: number,
): Promise<void> {
  const all = new Steps(device, steps.weights, steps.config);
  all.stores = steps.stores;
  for (const readsLogits of [true, false]) {
    const times: number[] = [];
    let recording = 0;
    let dispatches = 0;
    for (let i = 0; i < WARM_UP + tokens; i++) {
      const started = performance.now();
      const logits = all.record(1, at + i, true)!;
      const recorded = performance.now();
      const before = dispatchCount;
      const [values] = await device.read(readsLogits ? [logits] : []);
      dispatches = dispatchCount - before;
      if (values && !values.every(Number.isFinite)) {
        throw new Error(`Logits of ${name} at ${at + i} are not finite`);
      }
      if (i < WARM_UP) continue;
      times.push(performance.now() - started);
      recording += (recorded - started) / tokens;
    }
    times.sort((a, b) => a - b);
    const median = times[times.length >> 1]!;
    print(name, `decode at ${at}${readsLogits ? "" : ", no logits read"}`, [
      `${(1000 / median).toFixed(1)} tok/s`,
      `${median.toFixed(3)} ms (best ${times[0]!.toFixed(3)})`,
      `recording ${recording.toFixed(3)} ms`,
      `${dispatches} dispatches`,
      `${(weightBytes / median / 1e6).toFixed(0)} GB/s of weights`,
    ]);
  }
}

function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}

function print(name: string, what: string, figures: readonly string[]): void {
  console.log(`${name.padEnd(6)} ${what.padEnd(30)} ${figures.join(", ")}`);
}

const wanted = new Set(Deno.args.filter((arg) => !arg.startsWith("--")));
const tiny = Deno.args.includes("--tiny");
const runs = (name: string) => wanted.size === 0 || wanted.has(name);
const { info } = (await navigator.gpu.requestAdapter())!;
console.log(`${info.vendor} ${info.description}`);
countDispatches();
if (runs("kernels")) await benchKernels(tiny);
if (tiny) await benchSize(TINY, 4);
else {
  if (runs("e2b")) await benchSize(size("E2B", 30, 8192, 10), 64);
  if (runs("e4b")) await benchSize(size("E4B", 35, 16384, 15), 64);
}
