// Generation of released shapes on the GPU, with random weights that are made
// here: tokens that the host chooses from logits, and tokens that the GPU chooses,
// some before the host hears of them; the likeliest ones, and samples. The ways
// take turns, and must choose the same ids.
//
//   deno run -A --no-check bench/models/webgpu_generation_bench.ts [--tiny] [e2b] [e4b]
import { openGpu } from "../../src/backends/webgpu/context.ts";
import { createWebGpuDevice } from "../../src/backends/webgpu/device.ts";
import type { NoiseKey, TokenSampling } from "../../src/core/random.ts";
import { argmax, sampleToken } from "../../src/generation/choice.ts";
import {
  applyTemperature,
  keepTopK,
  keepTopP,
} from "../../src/generation/warpers.ts";
import { DecoderSteps } from "../../src/models/gemma3n/decoder_step.ts";
import {
  kvSpecs,
  SequenceCache,
} from "../../src/models/gemma3n/sequence_cache.ts";
import { scheduleSteps } from "../../src/models/gemma3n/step_schedule.ts";
import { textWeights } from "../../src/models/gemma3n/text_weights.ts";
import { runTokens } from "../../src/models/gemma3n/token_run.ts";
import { createDenoPlatform } from "../../src/platform/deno.ts";
import { type DecoderSize, E2B, E4B, TINY } from "./decoder_sizes.ts";
import { GpuClock } from "./gpu_clock.ts";
import {
  type Declared,
  declaringLoader,
  fillWeights,
  perLayerTable,
} from "./random_weights.ts";

/** Tokens of a run at most. */
const SLOTS = 16;
/** How tokens are chosen. */
interface Way {
  /** How many the GPU chooses in a run; 0 is the host's choice. */
  readonly run: number;
  readonly sampling?: TokenSampling;
}

const SAMPLING: TokenSampling = { temperature: 1, topK: 64, topP: 0.95 };
const WAYS: readonly Way[] = [
  ...[0, 1, 4, 8, 16].map((run) => ({ run })),
  ...[0, 8].map((run) => ({ run, sampling: SAMPLING })),
];
const NOISE = { seed: 1, stream: 0 };
/** Turns of each way; the first one is not counted. */
const TURNS = 4;

/** A decoder on the GPU with one sequence. */
interface Loaded {
  readonly steps: DecoderSteps;
  readonly cache: SequenceCache;
  readonly size: DecoderSize;
  readonly clock: GpuClock;
}

async function benchSize(size: DecoderSize, tokens: number): Promise<void> {
  const { name, config, contexts, chunk } = size;
  const { textConfig } = config;
  const context = await openGpu(navigator.gpu);
  const clock = new GpuClock(context.gpu, { seesPasses: false });
  const device = createWebGpuDevice({
    platform: createDenoPlatform(),
    context,
  });
  const declared: Declared[] = [];
  const load = declaringLoader(device, declared, "q4");
  const table = perLayerTable(load, textConfig);
  const steps = new DecoderSteps({
    device,
    config,
    weights: textWeights(load, textConfig),
    hard: undefined,
    table,
  });
  const contextLength = Math.max(...contexts) + tokens + SLOTS;
  const specs = kvSpecs(textConfig, contextLength, chunk, "f16");
  device.reserveKv(specs);
  device.tokens!.reserve(1 + SLOTS, 1);
  const options = { fastPrefill: true, contextLength, specs };
  steps.plan([1], 1, options);
  steps.planChoice(1, options);
  await device.allocate();
  await fillWeights(device, declared);
  const cache = new SequenceCache(
    device,
    textConfig,
    contextLength,
    chunk,
    "f16",
  );
  for (const at of contexts) {
    // Zeros stand for what came before.
    cache.reserve(at - cache.length);
    cache.advance(new Int32Array(at - cache.length));
    await benchContext({ steps, cache, size, clock }, at, tokens);
  }
  cache.dispose();
  await device[Symbol.asyncDispose]();
  console.log(`${name.padEnd(6)} done`);
}

async function benchContext(
  loaded: Loaded,
  at: number,
  tokens: number,
): Promise<void> {
  const times = WAYS.map((): number[] => []);
  const undecided = WAYS.map(() => 0);
  const encoding = WAYS.map((): number[] => []);
  const expected = new Map<boolean, string>();
  for (let turn = 0; turn < TURNS; turn++) {
    for (const [i, way] of WAYS.entries()) {
      const started = performance.now();
      const result = await generate(loaded, tokens, way);
      const time = performance.now() - started;
      const { encodingMs } = loaded.clock.take();
      loaded.cache.crop(at);
      const { ids } = result;
      undecided[i] = result.undecided;
      const samples = way.sampling !== undefined;
      const others = expected.get(samples) ?? ids.join();
      expected.set(samples, others);
      if (ids.join() !== others) {
        throw new Error(`Other ids in runs of ${way.run}: ${ids}`);
      }
      if (turn === 0) continue;
      times[i]!.push(time / tokens);
      encoding[i]!.push(encodingMs / tokens);
    }
  }
  for (const [i, { run, sampling }] of WAYS.entries()) {
    const best = Math.min(...times[i]!);
    const chooser = run === 0 ? "host" : `GPU, ${run} a run`;
    const what = sampling ? "sampled" : "chosen";
    const left = undecided[i]! > 0 ? `, ${undecided[i]} left to the host` : "";
    console.log(
      `${loaded.size.name.padEnd(6)} ` +
        `${`at ${at}, ${what} by the ${chooser}`.padEnd(38)} ` +
        `${(1000 / best).toFixed(1)} tok/s, ${best.toFixed(3)} ms ` +
        `(median ${median(times[i]!).toFixed(3)}), ` +
        `encoding ${median(encoding[i]!).toFixed(3)} ms${left}`,
    );
  }
}

/** So many ids after id 1, in runs of `way`, and how many the GPU could not decide. */
async function generate(
  { steps, cache }: Loaded,
  tokens: number,
  { run, sampling }: Way,
): Promise<{ ids: number[]; undecided: number }> {
  const ids = [1];
  let undecided = 0;
  while (ids.length <= tokens) {
    const id = ids.at(-1)!;
    if (run > 0) {
      const count = Math.min(run, tokens + 1 - ids.length);
      const inputs = [{ cache, id, noise: NOISE }];
      const options = { rows: 1, fastPrefill: true, sampling };
      const [chosen] = await runTokens(steps, inputs, count, options);
      ids.push(...chosen!);
      if (chosen!.length > 0) continue;
      undecided++;
    }
    cache.reserve(1);
    const input = { cache, ids: Int32Array.of(id) };
    const [step] = scheduleSteps(
      [{ pastLength: cache.length, newTokens: 1, keep: 1 }],
      1,
    );
    const { kept } = await steps.run([input], step!, {
      output: "logits",
      fastPrefill: true,
      outputHiddenStates: false,
    });
    cache.advance(input.ids);
    ids.push(
      sampling
        ? sampleOnHost(kept, sampling, { ...NOISE, step: cache.length })
        : argmax(kept),
    );
  }
  return { ids, undecided };
}

function sampleOnHost(
  logits: Float32Array,
  { temperature, topK, topP }: TokenSampling,
  key: NoiseKey,
): number {
  const context = { inputIds: new Int32Array(0), promptLength: 0 };
  if (temperature !== 1) applyTemperature(temperature)(logits, context);
  keepTopK(topK)(logits, context);
  keepTopP(topP)(logits, context);
  return sampleToken(logits, key);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

const wanted = new Set(Deno.args.filter((arg) => !arg.startsWith("--")));
const tiny = Deno.args.includes("--tiny");
const { info } = (await navigator.gpu.requestAdapter())!;
console.log(`${info.vendor} ${info.description}`);
for (const size of tiny ? [TINY] : [E2B, E4B]) {
  const isWanted = wanted.size === 0 || wanted.has(size.name.toLowerCase());
  if (isWanted) await benchSize(size, tiny ? 16 : 128);
}
