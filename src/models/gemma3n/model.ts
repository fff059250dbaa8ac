// The whole model: towers to soft tokens, soft tokens into sequences, and
// sequences through the decoder. Transformers' Gemma3nModel.
import { InputError, UnsupportedError } from "../../core/errors.ts";
import { formatShape } from "../../core/shape.ts";
import { type HostTensor, hostTensor } from "../../core/tensor.ts";
import type { Checkpoint } from "../../io/checkpoint.ts";
import type { LoadOptions } from "../../ops/checkpoint_weights.ts";
import type { Device } from "../../ops/device.ts";
import { audioFeatures, uploadAudio } from "./audio_encoder.ts";
import { type AudioTower, audioTowerWeights } from "./audio_weights.ts";
import { decoderNames, unexpectedTensors } from "./checkpoint_names.ts";
import type { Gemma3nConfig } from "./config.ts";
import { Decoder, type DecoderOptions } from "./decoder.ts";
import { Tower } from "./tower.ts";
import { imageFeatures } from "./vision_encoder.ts";
import { picturePixels } from "./vision_pixels.ts";
import { type VisionTower, visionTowerWeights } from "./vision_weights.ts";

/** Parts of a model, each with a memory of its own. */
export type ModelPart = "text" | "vision" | "audio";

/** What makes a {@link Gemma3nRuntime}. */
export interface ModelOptions {
  readonly config: Gemma3nConfig;
  readonly checkpoint: Checkpoint;
  readonly createDevice: (part: ModelPart) => Promise<Device>;
  readonly decoder: DecoderOptions;
  readonly onWarning: (warning: string) => void;
}

/** Soft tokens of clips, before they are padded to the slots of a prompt. */
export interface AudioFeaturesOutput {
  /** `[C, S, D]`; rows of padding are zeros. */
  readonly features: HostTensor<"float32">;
  /** `[C, S]`, 1 = valid. */
  readonly mask: HostTensor<"uint8">;
}

/** Unexpected tensors named in a warning. */
const NAMED_TENSORS = 3;

/** Decoder and towers of one checkpoint. Calls must not overlap. */
export class Gemma3nRuntime implements AsyncDisposable {
  readonly config: Gemma3nConfig;
  readonly decoder: Decoder;
  readonly #device: Device;
  readonly #vision: Tower<VisionTower> | undefined;
  readonly #audio: Tower<AudioTower> | undefined;
  #audioPadding: Float32Array | undefined;

  private constructor(
    { config }: ModelOptions,
    device: Device,
    decoder: Decoder,
    vision: Tower<VisionTower> | undefined,
    audio: Tower<AudioTower> | undefined,
  ) {
    this.config = config;
    this.decoder = decoder;
    this.#device = device;
    this.#vision = vision;
    this.#audio = audio;
  }

  /** Checks every tensor of the checkpoint, then loads the decoder. */
  static async load(
    options: ModelOptions,
    load: LoadOptions = {},
  ): Promise<Gemma3nRuntime> {
    const { config, checkpoint, onWarning } = options;
    const names = decoderNames(checkpoint);
    const device = await options.createDevice("text");
    const opened: AsyncDisposable[] = [device];
    try {
      const decoder = new Decoder(
        device,
        checkpoint,
        names,
        config,
        options.decoder,
      );
      const vision = await visionTower(options);
      if (vision) opened.push(vision);
      const audio = await audioTower(options);
      if (audio) opened.push(audio);
      const unexpected = unexpectedTensors(
        checkpoint,
        [
          ...decoder.tensorNames(names),
          ...vision?.tensorNames ?? [],
          ...audio?.tensorNames ?? [],
        ],
        names,
        config.textConfig,
      );
      if (unexpected.length > 0) onWarning(unexpectedWarning(unexpected));
      await decoder.load(load);
      return new Gemma3nRuntime(options, device, decoder, vision, audio);
    } catch (error) {
      for (const part of opened) await part[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * Soft tokens of pictures: `[N, 3, H, W]` -> `[N, S, D]`.
   *
   * @throws {UnsupportedError} When the checkpoint has no vision tower.
   */
  async imageFeatures(
    pixelValues: HostTensor<"float32">,
    options: LoadOptions = {},
  ): Promise<HostTensor<"float32">> {
    const { visionConfig } = this.config;
    if (this.#vision === undefined || visionConfig === undefined) {
      throw new UnsupportedError(
        "Cannot encode pictures: the checkpoint has a text decoder only",
      );
    }
    const S = visionConfig.msfaOutputResolution ** 2;
    const D = this.config.textConfig.hiddenSize;
    const [count = 0, , rows = 0, columns = 0] = pixelValues.shape;
    const out = new Float32Array(count * S * D);
    for (let i = 0; i < count; i++) {
      const { data, shape } = picturePixels(pixelValues, i);
      const { device, weights } = await this.#vision.use(
        [rows, columns],
        options,
      );
      const pixels = device.upload(data, shape);
      const features = imageFeatures(device.ops, weights, visionConfig, pixels);
      const [values] = await device.read([features], options);
      out.set(values!, i * S * D);
    }
    return hostTensor("float32", [count, S, D], out);
  }

  /**
   * Soft tokens of clips: features `[C, F, M]`, mask `[C, F]` (1 = valid).
   *
   * @throws {UnsupportedError} When the checkpoint has no audio tower.
   */
  async audioFeatures(
    inputFeatures: HostTensor<"float32">,
    inputFeaturesMask: HostTensor<"uint8">,
    options: LoadOptions = {},
  ): Promise<AudioFeaturesOutput> {
    const { audioConfig } = this.config;
    if (this.#audio === undefined || audioConfig === undefined) {
      throw new UnsupportedError(
        "Cannot encode sound: the checkpoint has a text decoder only",
      );
    }
    const [count, frames, bins] = checkClips(inputFeatures, inputFeaturesMask);
    const D = this.config.textConfig.hiddenSize;
    const features: Float32Array[] = [];
    const masks: Uint8Array[] = [];
    for (let c = 0; c < count; c++) {
      const { device, weights } = await this.#audio.use([frames, 1], options);
      const size = frames * bins;
      const data = inputFeatures.data.subarray(c * size, (c + 1) * size);
      const clip = uploadAudio(
        device,
        audioConfig,
        hostTensor("float32", [frames, bins], data),
        inputFeaturesMask.data.subarray(c * frames, (c + 1) * frames),
      );
      const soft = audioFeatures(device.ops, weights, clip.mel, clip.ctx);
      const [values] = await device.read([soft], options);
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

  /**
   * Clips as the decoder sees them, `[C, slots, D]`: frames of padding and
   * the slots after a clip hold the embedding of the last id of the audio
   * vocabulary.
   */
  async padAudioFeatures(
    { features, mask }: AudioFeaturesOutput,
    signal?: AbortSignal,
  ): Promise<HostTensor<"float32">> {
    const slots = this.config.audioSoftTokensPerImage;
    const [count = 0, S = 0, D = 0] = features.shape;
    if (S > slots) {
      throw new InputError(
        `Cannot use the audio: it makes ${S} soft tokens, a clip has room for ${slots}; cut it to 30 seconds`,
      );
    }
    const padding = this.#audioPadding ??= await this.decoder.hardEmbedding(
      this.config.textConfig.vocabSize - 1,
      signal,
    );
    const out = new Float32Array(count * slots * D);
    for (let c = 0; c < count; c++) {
      for (let s = 0; s < slots; s++) {
        const row = c * S + s;
        const valid = s < S && mask.data[row] === 1;
        const values = valid
          ? features.data.subarray(row * D, (row + 1) * D)
          : padding;
        out.set(values, (c * slots + s) * D);
      }
    }
    return hostTensor("float32", [count, slots, D], out);
  }

  /** Gives all memory back. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#device[Symbol.asyncDispose]();
    await this.#vision?.[Symbol.asyncDispose]();
    await this.#audio?.[Symbol.asyncDispose]();
  }
}

async function visionTower(
  { config, checkpoint, createDevice }: ModelOptions,
): Promise<Tower<VisionTower> | undefined> {
  const { visionConfig, textConfig } = config;
  if (visionConfig === undefined) return undefined;
  return await Tower.create({
    checkpoint,
    createDevice: () => createDevice("vision"),
    declare: (load) =>
      visionTowerWeights(load, visionConfig, textConfig.hiddenSize),
    record: (device, weights, [rows, columns]) => {
      const data = new Float32Array(rows * columns * 3);
      const pixels = device.upload(data, [rows, columns, 3]);
      return imageFeatures(device.ops, weights, visionConfig, pixels);
    },
  });
}

async function audioTower(
  { config, checkpoint, createDevice }: ModelOptions,
): Promise<Tower<AudioTower> | undefined> {
  const { audioConfig, textConfig } = config;
  if (audioConfig === undefined) return undefined;
  return await Tower.create({
    checkpoint,
    createDevice: () => createDevice("audio"),
    declare: (load) =>
      audioTowerWeights(load, audioConfig, textConfig.hiddenSize),
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

function checkClips(
  features: HostTensor<"float32">,
  mask: HostTensor<"uint8">,
): [number, number, number] {
  const [count, frames, bins] = features.shape;
  if (
    features.shape.length !== 3 ||
    formatShape(mask.shape) !== formatShape([count!, frames!])
  ) {
    throw new InputError(
      `Cannot encode sound: inputFeatures are ${
        formatShape(features.shape)
      } and inputFeaturesMask is ${
        formatShape(mask.shape)
      }; [C,F,bins] and [C,F] are needed`,
    );
  }
  return [count!, frames!, bins!];
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

function unexpectedWarning(names: readonly string[]): string {
  const shown = names.slice(0, NAMED_TENSORS).map((name) => `"${name}"`);
  const more = names.length - shown.length;
  return `The checkpoint has ${names.length} tensors that Gemma 3n does not use: ${
    shown.join(", ")
  }${more > 0 ? ` and ${more} more` : ""}; they are ignored`;
}
