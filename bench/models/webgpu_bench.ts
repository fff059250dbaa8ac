// Decode and prefill of released shapes on the GPU, with random weights that are
// made here: nothing is read from disk. Then the kernels of decode alone, beside
// a kernel that only reads.
//
// Times on the GPU are those of the same dispatches done again, see gpu_clock.ts;
// with "profile" also kernel by kernel.
//
//   deno run -A --no-check bench/models/webgpu_bench.ts [--tiny] [profile] [e2b] [e4b] [kernels]
import { openGpu } from "../../src/backends/webgpu/context.ts";
import { createWebGpuDevice } from "../../src/backends/webgpu/device.ts";
import type { Gemma3nConfig } from "../../src/models/gemma3n/config.ts";
import type { PerLayerEmbeddings } from "../../src/models/gemma3n/per_layer_inputs.ts";
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
import { GpuClock, kernelTable, type KernelTime } from "./gpu_clock.ts";
import {
  type Declared,
  declaringLoader,
  fillWeights,
  perLayerTable,
} from "./random_weights.ts";
import { benchKernels } from "./webgpu_kernels.ts";

/** Steps before the clock starts. */
const WARM_UP = 4;
/** Prompts that are timed, of which the fastest counts. */
const PREFILLS = 5;
/** Kernels that a profile names. */
const SHOWN = 24;

/** Records steps of one sequence. */
class Steps {
  readonly device: Device;
  readonly weights: TextWeights;
  readonly config: Gemma3nConfig;
  stores: readonly KvStore[] = [];
  private readonly table: PerLayerEmbeddings;

  constructor(
    device: Device,
    { weights, table }: Record<"weights", TextWeights> & {
      readonly table: PerLayerEmbeddings;
    },
    config: Gemma3nConfig,
  ) {
    this.device = device;
    this.weights = weights;
    this.table = table;
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
    const ids = Int32Array.from(
      { length: rows },
      (_, i) => (firstPosition + i * 7) % textConfig.vocabSize,
    );
    const embeds = embedTokens(device, weights, undefined, config, ids, []);
    const { hidden } = textModel(device.ops, weights, textConfig, {
      embeds,
      tableRows: this.table.record(device, ids, undefined),
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

async function benchSize(
  { name, config, contexts, prompts, chunk }: DecoderSize,
  tokens: number,
  profile: boolean,
): Promise<void> {
  const context = await openGpu(navigator.gpu);
  const clock = new GpuClock(context.gpu);
  const device = createWebGpuDevice({
    platform: createDenoPlatform(),
    context,
  });
  const declared: Declared[] = [];
  const load = declaringLoader(device, declared, "q4");
  const weights = textWeights(load, config.textConfig);
  const { weights: weightBytes } = device.requiredBytes(); // what a token reads
  const table = perLayerTable(load, config.textConfig);
  const longest = Math.max(...prompts, ...contexts) + 2 * (tokens + WARM_UP);
  const specs = kvSpecs(config.textConfig, longest, chunk, "f32");
  device.reserveKv(specs);
  const steps = new Steps(device, { weights, table }, config);
  for (const rows of [1, chunk]) {
    device.plan(() => {
      const stores = specs.map((spec) => device.createKvStore(spec));
      return [steps.record(rows, longest - rows, true, stores)!];
    });
  }
  const started = performance.now();
  await device.allocate();
  await fillWeights(device, declared);
  const { kv, activations } = device.requiredBytes();
  print(name, "memory", [
    `weights ${mib(weightBytes)}`,
    `kv ${mib(kv)}`,
    `activations ${mib(activations)}`,
    `filled in ${((performance.now() - started) / 1000).toFixed(1)} s`,
  ]);
  steps.stores = specs.map((spec) => device.createKvStore(spec));
  for (const prompt of prompts) {
    await benchPrefill(steps, clock, name, prompt, chunk, profile);
  }
  for (const at of contexts) {
    await benchDecode(steps, clock, name, at, tokens, weightBytes);
    await replayDecode(steps, clock, name, at + tokens, profile);
  }
  await device[Symbol.asyncDispose]();
  context.destroy();
}

async function benchPrefill(
  steps: Steps,
  clock: GpuClock,
  name: string,
  prompt: number,
  chunk: number,
  profile: boolean,
): Promise<void> {
  let best = Infinity;
  let recording = Infinity;
  let encoding = Infinity;
  for (let i = 0; i <= PREFILLS; i++) {
    // What is kept is encoded more slowly.
    clock.keeping = i === PREFILLS;
    clock.take();
    let recorded = 0;
    const started = performance.now();
    for (let first = 0; first < prompt; first += chunk) {
      const rows = Math.min(chunk, prompt - first);
      const before = performance.now();
      const logits = steps.record(rows, first, first + rows === prompt);
      recorded += performance.now() - before;
      if (logits) await steps.device.read([logits]);
      else await steps.device.submit();
    }
    best = Math.min(best, performance.now() - started);
    if (clock.keeping) break;
    recording = Math.min(recording, recorded);
    encoding = Math.min(encoding, clock.take().encodingMs);
  }
  clock.keeping = false;
  const { kept } = clock.take();
  print(name, `prefill ${prompt}`, [
    `${(prompt / best * 1000).toFixed(0)} tok/s`,
    `${best.toFixed(1)} ms`,
    `recording ${milliseconds(recording)}`,
    `encoding ${milliseconds(encoding)}`,
    `on the GPU ${milliseconds(await clock.time(kept))}`,
  ]);
  if (profile) printKernels(await clock.kernels(kept));
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
    let recording = 0;
    let encoding = 0;
    let dispatches = 0;
    for (let i = 0; i < WARM_UP + tokens; i++) {
      const started = performance.now();
      const logits = steps.record(1, at + i, true)!;
      const recorded = performance.now();
      const [values] = await device.read(readsLogits ? [logits] : []);
      const ended = performance.now();
      const taken = clock.take();
      dispatches = taken.dispatches;
      if (values && !values.every(Number.isFinite)) {
        throw new Error(`Logits of ${name} at ${at + i} are not finite`);
      }
      if (i < WARM_UP) continue;
      times.push(ended - started);
      recording += (recorded - started) / tokens;
      encoding += taken.encodingMs / tokens;
    }
    const median = medianOf(times);
    print(name, `decode at ${at}${readsLogits ? "" : ", no logits read"}`, [
      `${(1000 / median).toFixed(1)} tok/s`,
      `${median.toFixed(3)} ms (best ${Math.min(...times).toFixed(3)})`,
      `recording ${recording.toFixed(3)} ms`,
      `encoding ${encoding.toFixed(3)} ms`,
      `${dispatches} dispatches`,
      `${(weightBytes / median / 1e6).toFixed(0)} GB/s of weights`,
    ]);
  }
}

/** Prints the time of a token on the GPU alone, and of its kernels. */
async function replayDecode(
  steps: Steps,
  clock: GpuClock,
  name: string,
  at: number,
  profile: boolean,
): Promise<void> {
  clock.keeping = true;
  await steps.device.read([steps.record(1, at, true)!]);
  clock.keeping = false;
  const { kept } = clock.take();
  print(name, `decode at ${at}, replayed`, [
    milliseconds(await clock.time(kept)),
  ]);
  if (profile) printKernels(await clock.kernels(kept));
}

function printKernels(times: readonly KernelTime[]): void {
  for (const line of kernelTable(times).slice(0, SHOWN)) console.log(line);
}

function medianOf(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

function milliseconds(value: number): string {
  return `${value.toFixed(3)} ms`;
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
