// What the towers must do at least: the products they form for a picture and
// for a clip.
import { createWasmDevice } from "../../src/backends/wasm/device.ts";
import { hostTensor } from "../../src/core/tensor.ts";
import { numel } from "../../src/core/shape.ts";
import {
  audioFeatures,
  uploadAudio,
} from "../../src/models/gemma3n/audio_encoder.ts";
import { audioTowerWeights } from "../../src/models/gemma3n/audio_weights.ts";
import type { Gemma3nConfig } from "../../src/models/gemma3n/config.ts";
import { imageFeatures } from "../../src/models/gemma3n/vision_encoder.ts";
import { visionTowerWeights } from "../../src/models/gemma3n/vision_weights.ts";
import type { Device } from "../../src/ops/device.ts";
import type { Ops, Tensor, Weight } from "../../src/ops/ops.ts";
import type { WeightLoader } from "../../src/ops/weight_loader.ts";
import type { Platform } from "../../src/platform/platform.ts";

/** Multiply-adds by what is encoded. */
export interface TowerWork {
  readonly image: number;
  readonly audio: number;
}

/** Counts them for a picture of `side` x `side` and a clip of `frames`. */
export async function towerWork(
  platform: Platform,
  { visionConfig, audioConfig, textConfig }: Gemma3nConfig,
  side: number,
  frames: number,
): Promise<TowerWork> {
  const D = textConfig.hiddenSize;
  const bins = audioConfig!.inputFeatSize;
  const image = await countProducts(platform, (device, ops) => {
    const weights = visionTowerWeights(loader(device), visionConfig!, D);
    return () => {
      const pixels = new Float32Array(side * side * 3);
      const x = device.upload(pixels, [side, side, 3]);
      return imageFeatures(ops, weights, visionConfig!, x);
    };
  });
  const audio = await countProducts(platform, (device, ops) => {
    const weights = audioTowerWeights(loader(device), audioConfig!, D);
    return () => {
      const data = new Float32Array(frames * bins);
      const mel = hostTensor("float32", [frames, bins], data);
      const mask = new Uint8Array(frames).fill(1);
      const clip = uploadAudio(device, audioConfig!, mel, mask);
      return audioFeatures(ops, weights, clip.mel, clip.ctx);
    };
  });
  return { image, audio };
}

/** Of a step that is planned, not run. */
async function countProducts(
  platform: Platform,
  declare: (device: Device, ops: Ops) => () => Tensor,
): Promise<number> {
  await using device = await createWasmDevice({ platform });
  let count = 0;
  const ops = new Proxy(device.ops, {
    get(target, name) {
      const op = Reflect.get(target, name);
      if (typeof op !== "function") return op;
      return (...args: unknown[]) => {
        const result = Reflect.apply(op, target, args) as Tensor;
        count += products(name as keyof Ops, args as Tensor[], result);
        return result;
      };
    },
  });
  const record = declare(device, ops);
  device.plan(() => [record()]);
  return count;
}

/** Multiply-adds of one operation; what is no sum of products has none. */
function products(
  name: keyof Ops,
  args: readonly Tensor[],
  result: Tensor,
): number {
  const outputs = () => numel(result.shape);
  switch (name) {
    case "matmul":
    case "conv2d":
    case "depthwiseConv2d":
    case "depthwiseConv1d":
      return outputs() * numel((args[1] as Weight).shape.slice(1));
    case "multiQueryAttention":
      return outputs() * 2 * args[1]!.shape[0]!;
    case "relativeAttention":
      // Scores with keys and with positions, and the sum of values.
      return outputs() * 3 * args[3]!.shape[0]!;
    default:
      return 0;
  }
}

function loader(device: Device): WeightLoader {
  return {
    weight: (kind, name, shape) => device.declareWeight({ kind, name, shape }),
    scope: () => loader(device),
  };
}
