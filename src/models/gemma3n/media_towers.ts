// The towers of a model: pictures and clips to soft tokens, each on a device
// of its own. get_image_features() and get_audio_features() of Transformers'
// Gemma3nModel.
import type { WeightFormat } from "../../core/dtype.ts";
import { UnsupportedError } from "../../core/errors.ts";
import { type HostTensor, hostTensor } from "../../core/tensor.ts";
import type { Checkpoint } from "../../io/checkpoint.ts";
import type {
  LoadOptions,
  LoadProgress,
} from "../../ops/checkpoint_weights.ts";
import type { Device } from "../../ops/device.ts";
import { audioFeatures, uploadAudio } from "./audio_encoder.ts";
import { type AudioTower, audioTowerWeights } from "./audio_weights.ts";
import type { CheckpointNames } from "./checkpoint_names.ts";
import type { Gemma3nConfig } from "./config.ts";
import { checkClips, checkFinite } from "./tower_inputs.ts";
import { Tower } from "./tower.ts";
import { imageFeatures } from "./vision_encoder.ts";
import { picturePixels } from "./vision_pixels.ts";
import { type VisionTower, visionTowerWeights } from "./vision_weights.ts";

/** Parts of a model, each with a memory of its own. */
export type ModelPart = "text" | "vision" | "audio";

/** How far the load of a part has come. */
export interface PartProgress extends LoadProgress {
  /** The decoder when the model loads, a tower at its first use. */
  readonly part: ModelPart;
}

/** Receives progress. */
export type PartProgressSink = (progress: PartProgress) => void;

/** Options of calls that may load a part. */
export interface PartOptions {
  readonly signal?: AbortSignal | undefined;
}

/** What makes {@link MediaTowers}. */
export interface TowersOptions {
  readonly config: Gemma3nConfig;
  readonly checkpoint: Checkpoint;
  readonly createDevice: (part: ModelPart) => Promise<Device>;
  /** How most weights are kept. */
  readonly dtype: WeightFormat;
  readonly onProgress?: PartProgressSink | undefined;
}

/** Soft tokens of clips, before they are padded to the slots of a prompt. */
export interface AudioFeaturesOutput {
  /** `[C, S, D]`; rows of padding are zeros. */
  readonly features: HostTensor<"float32">;
  /** `[C, S]`, 1 = valid. */
  readonly mask: HostTensor<"uint8">;
}

/** Vision and audio tower, or neither where there is a decoder alone. */
export class MediaTowers implements AsyncDisposable {
  readonly #options: TowersOptions;
  readonly #vision: Tower<VisionTower> | undefined;
  readonly #audio: Tower<AudioTower> | undefined;

  private constructor(
    options: TowersOptions,
    vision: Tower<VisionTower> | undefined,
    audio: Tower<AudioTower> | undefined,
  ) {
    this.#options = options;
    this.#vision = vision;
    this.#audio = audio;
  }

  /**
   * Checks the towers' tensors; reads none.
   *
   * @throws {CheckpointError} When one is missing or has another shape.
   */
  static async create(
    options: TowersOptions,
    names: CheckpointNames,
  ): Promise<MediaTowers> {
    const vision = await visionTower(options, names);
    try {
      const audio = await audioTower(options, names);
      return new MediaTowers(options, vision, audio);
    } catch (error) {
      await vision?.[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Names of the tensors the towers use. */
  get tensorNames(): string[] {
    return [
      ...this.#vision?.tensorNames ?? [],
      ...this.#audio?.tensorNames ?? [],
    ];
  }

  /**
   * Soft tokens of pictures: `[N, 3, H, W]` -> `[N, S, D]`.
   *
   * @throws {UnsupportedError} When the model has no vision tower.
   * @throws {InputError} When the shape is another or a value is not finite.
   */
  async imageFeatures(
    pixelValues: HostTensor<"float32">,
    { signal }: PartOptions = {},
  ): Promise<HostTensor<"float32">> {
    const { config, onProgress } = this.#options;
    const { visionConfig } = config;
    if (this.#vision === undefined || visionConfig === undefined) {
      throw new UnsupportedError(
        "Cannot encode pictures: the model has a text decoder only",
      );
    }
    checkFinite(pixelValues, "pixelValues");
    const S = visionConfig.msfaOutputResolution ** 2;
    const D = config.textConfig.hiddenSize;
    const [count = 0, , rows = 0, columns = 0] = pixelValues.shape;
    const out = new Float32Array(count * S * D);
    for (let i = 0; i < count; i++) {
      const { data, shape } = picturePixels(pixelValues, i);
      const { device, weights } = await this.#vision.use(
        [rows, columns],
        loadOptions("vision", onProgress, signal),
      );
      const pixels = device.upload(data, shape);
      const features = imageFeatures(device.ops, weights, visionConfig, pixels);
      const [values] = await device.read([features], { signal });
      out.set(values!, i * S * D);
    }
    return hostTensor("float32", [count, S, D], out);
  }

  /**
   * Soft tokens of clips: features `[C, F, M]`, mask `[C, F]` (1 = valid).
   *
   * @throws {UnsupportedError} When the model has no audio tower.
   * @throws {InputError} When the shapes are others or a value is not finite.
   */
  async audioFeatures(
    inputFeatures: HostTensor<"float32">,
    inputFeaturesMask: HostTensor<"uint8">,
    { signal }: PartOptions = {},
  ): Promise<AudioFeaturesOutput> {
    const { config, onProgress } = this.#options;
    const { audioConfig } = config;
    if (this.#audio === undefined || audioConfig === undefined) {
      throw new UnsupportedError(
        "Cannot encode sound: the model has a text decoder only",
      );
    }
    const [count, frames, bins] = checkClips(
      inputFeatures,
      inputFeaturesMask,
      audioConfig.inputFeatSize,
    );
    checkFinite(inputFeatures, "inputFeatures");
    const D = config.textConfig.hiddenSize;
    const features: Float32Array[] = [];
    const masks: Uint8Array[] = [];
    for (let c = 0; c < count; c++) {
      const { device, weights } = await this.#audio.use(
        [frames, 1],
        loadOptions("audio", onProgress, signal),
      );
      const size = frames * bins;
      const data = inputFeatures.data.subarray(c * size, (c + 1) * size);
      const clip = uploadAudio(
        device,
        audioConfig,
        hostTensor("float32", [frames, bins], data),
        inputFeaturesMask.data.subarray(c * frames, (c + 1) * frames),
      );
      const soft = audioFeatures(device.ops, weights, clip.mel, clip.ctx);
      const [values] = await device.read([soft], { signal });
      features.push(values!);
      masks.push(clip.mask);
    }
    const S = masks[0]?.length ?? 0;
    return {
      features: hostTensor("float32", [count, S, D], concatFloats(features)),
      mask: hostTensor(
        "uint8",
        [count, S],
        Uint8Array.from(masks.flatMap((m) => [...m])),
      ),
    };
  }

  /** Gives all memory back. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#vision?.[Symbol.asyncDispose]();
    await this.#audio?.[Symbol.asyncDispose]();
  }
}

async function visionTower(
  { config, checkpoint, createDevice, dtype }: TowersOptions,
  names: CheckpointNames,
): Promise<Tower<VisionTower> | undefined> {
  const { visionConfig, textConfig } = config;
  if (visionConfig === undefined) return undefined;
  return await Tower.create({
    checkpoint,
    createDevice: () => createDevice("vision"),
    dtype,
    declare: (load) =>
      visionTowerWeights(
        load.scope(names.model),
        visionConfig,
        textConfig.hiddenSize,
      ),
    record: (device, weights, [rows, columns]) => {
      const data = new Float32Array(rows * columns * 3);
      const pixels = device.upload(data, [rows, columns, 3]);
      return imageFeatures(device.ops, weights, visionConfig, pixels);
    },
  });
}

async function audioTower(
  { config, checkpoint, createDevice, dtype }: TowersOptions,
  names: CheckpointNames,
): Promise<Tower<AudioTower> | undefined> {
  const { audioConfig, textConfig } = config;
  if (audioConfig === undefined) return undefined;
  return await Tower.create({
    checkpoint,
    createDevice: () => createDevice("audio"),
    dtype,
    declare: (load) =>
      audioTowerWeights(
        load.scope(names.model),
        audioConfig,
        textConfig.hiddenSize,
      ),
    record: (device, weights, [frames]) => {
      const bins = audioConfig.inputFeatSize;
      const mel = hostTensor(
        "float32",
        [frames, bins],
        new Float32Array(frames * bins),
      );
      const mask = new Uint8Array(frames).fill(1);
      const clip = uploadAudio(device, audioConfig, mel, mask);
      return audioFeatures(device.ops, weights, clip.mel, clip.ctx);
    },
  });
}

/** Options of a load that tell which part it is. */
export function loadOptions(
  part: ModelPart,
  onProgress: PartProgressSink | undefined,
  signal: AbortSignal | undefined,
): LoadOptions {
  return {
    signal,
    onProgress: onProgress &&
      ((progress) => onProgress({ ...progress, part })),
  };
}

function concatFloats(parts: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(parts.reduce((sum, p) => sum + p.length, 0));
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}
