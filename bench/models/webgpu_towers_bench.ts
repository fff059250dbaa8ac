// The towers of released models on the GPU, with random weights that are made
// here: a picture of 768 x 768 and a clip of 30 s, from pixels and mel frames
// to soft tokens on the host.
//
//   deno run -A --no-check bench/models/webgpu_towers_bench.ts [--tiny] [profile] [image] [audio] [f32] [q8]
import {
  openGpu,
  type WebGpuContext,
} from "../../src/backends/webgpu/context.ts";
import { createWebGpuDevice } from "../../src/backends/webgpu/device.ts";
import type { WeightFormat } from "../../src/core/dtype.ts";
import { hostTensor } from "../../src/core/tensor.ts";
import {
  audioFeatures,
  uploadAudio,
} from "../../src/models/gemma3n/audio_encoder.ts";
import { audioTowerWeights } from "../../src/models/gemma3n/audio_weights.ts";
import {
  type Gemma3nConfig,
  parseGemma3nConfig,
} from "../../src/models/gemma3n/config.ts";
import { imageFeatures } from "../../src/models/gemma3n/vision_encoder.ts";
import { visionTowerWeights } from "../../src/models/gemma3n/vision_weights.ts";
import type { Device } from "../../src/ops/device.ts";
import type { Tensor } from "../../src/ops/ops.ts";
import type { WeightLoader } from "../../src/ops/weight_loader.ts";
import { createDenoPlatform } from "../../src/platform/deno.ts";
import { GpuClock, kernelTable } from "./gpu_clock.ts";
import {
  type Declared,
  declaringLoader,
  fillWeights,
  randomValues,
} from "./random_weights.ts";

/** Runs before the clock starts: kernels are compiled, slices find their size. */
const WARM_UP = 10;
const TIMINGS = 15;
/** Kernels of a profile that are printed. */
const SHOWN = 40;
/** A tower and an input for it. */
interface Case {
  readonly name: string;
  /** Names the weights; gives what records a step. */
  readonly declare: (load: WeightLoader) => (device: Device) => Tensor;
}

const wanted = new Set(Deno.args.filter((arg) => !arg.startsWith("--")));
const tiny = Deno.args.includes("--tiny");
const chosen = (name: string, among: readonly string[]) =>
  wanted.has(name) || !among.some((other) => wanted.has(other));

const config = parseGemma3nConfig({
  model_type: "gemma3n",
  text_config: { hidden_size: tiny ? 64 : 2048 },
  vision_config: tiny ? { model_args: { channel_multiplier: 0.05 } } : {},
  audio_config: tiny ? { hidden_size: 64, conf_num_hidden_layers: 2 } : {},
});
const PARTS = ["image", "audio"] as const;
const FORMATS = ["q8", "f32"] as const;

const { info } = (await navigator.gpu.requestAdapter())!;
console.log(`${info.vendor} ${info.description}`);
const context = await openGpu(navigator.gpu);
const clock = new GpuClock(context.gpu);
for (const part of PARTS.filter((name) => chosen(name, PARTS))) {
  const run = part === "image"
    ? imageCase(config, tiny ? 64 : 768)
    : audioCase(config, tiny ? 64 : 3000);
  for (const dtype of FORMATS.filter((name) => chosen(name, FORMATS))) {
    await bench(context, run, dtype);
  }
}
context.destroy();

function imageCase(
  { visionConfig, textConfig }: Gemma3nConfig,
  side: number,
): Case {
  const pixels = randomValues(side * side * 3, 1);
  return {
    name: `image ${side} x ${side}`,
    declare(load) {
      const weights = visionTowerWeights(
        load,
        visionConfig!,
        textConfig.hiddenSize,
      );
      return (device) => {
        const x = device.upload(pixels, [side, side, 3]);
        return imageFeatures(device.ops, weights, visionConfig!, x);
      };
    },
  };
}

/** @param frames Mel frames of 10 ms. */
function audioCase(
  { audioConfig, textConfig }: Gemma3nConfig,
  frames: number,
): Case {
  const bins = audioConfig!.inputFeatSize;
  const mel = hostTensor(
    "float32",
    [frames, bins],
    randomValues(frames * bins, 1),
  );
  const mask = new Uint8Array(frames).fill(1);
  return {
    name: `audio ${frames / 100} s`,
    declare(load) {
      const weights = audioTowerWeights(
        load,
        audioConfig!,
        textConfig.hiddenSize,
      );
      return (device) => {
        const clip = uploadAudio(device, audioConfig!, mel, mask);
        return audioFeatures(device.ops, weights, clip.mel, clip.ctx);
      };
    },
  };
}

async function bench(
  context: WebGpuContext,
  { name, declare }: Case,
  dtype: WeightFormat,
): Promise<void> {
  const device = createWebGpuDevice({
    platform: createDenoPlatform(),
    context,
  });
  const declared: Declared[] = [];
  const record = declare(declaringLoader(device, declared, dtype));
  device.plan(() => [record(device)]);
  await device.allocate();
  await fillWeights(device, declared);
  const times: number[] = [];
  let recording = 0;
  let dispatches = 0;
  let tokens = 0;
  const warmUp = tiny ? 1 : WARM_UP;
  for (let i = 0; i < warmUp + TIMINGS; i++) {
    const started = performance.now();
    const soft = record(device);
    const recorded = performance.now();
    const [values] = await device.read([soft]);
    const ended = performance.now();
    if (!values!.every(Number.isFinite)) {
      throw new Error(`Soft tokens of ${name} are not finite`);
    }
    ({ dispatches } = clock.take());
    tokens = soft.shape[0]!;
    if (i < warmUp) continue;
    times.push(ended - started);
    recording += (recorded - started) / TIMINGS;
  }
  clock.keeping = true;
  await device.read([record(device)]);
  clock.keeping = false;
  const { kept } = clock.take();
  const { weights, activations } = device.requiredBytes();
  console.log([
    `${name} ${dtype}: ${milliseconds(times)}`,
    `on the GPU ${(await clock.time(kept)).toFixed(2)} ms`,
    `recording ${recording.toFixed(2)} ms`,
    `${dispatches} dispatches`,
    `${tokens} soft tokens`,
    `weights ${mib(weights)}`,
    `activations ${mib(activations)}`,
  ].join(", "));
  if (wanted.has("profile")) {
    const lines = kernelTable(await clock.kernels(kept));
    for (const line of lines.slice(0, SHOWN)) console.log(line);
  }
  await device[Symbol.asyncDispose]();
}

/** Median and best. */
function milliseconds(times: readonly number[]): string {
  const sorted = [...times].sort((a, b) => a - b);
  return `${sorted[sorted.length >> 1]!.toFixed(2)} ms (best ${
    sorted[0]!.toFixed(2)
  })`;
}

function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}
