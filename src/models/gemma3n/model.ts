// The whole model: towers to soft tokens, soft tokens into sequences, and
// sequences through the decoder. Transformers' Gemma3nModel.
import { InputError } from "../../core/errors.ts";
import { type HostTensor, hostTensor } from "../../core/tensor.ts";
import type { Device } from "../../ops/device.ts";
import { checkpointNames, unexpectedTensors } from "./checkpoint_names.ts";
import type { Gemma3nConfig } from "./config.ts";
import { Decoder, type DecoderOptions } from "./decoder.ts";
import {
  type AudioFeaturesOutput,
  loadOptions,
  MediaTowers,
  type PartOptions,
  type TowersOptions,
} from "./media_towers.ts";

/** What makes a {@link Gemma3nRuntime}. */
export interface RuntimeOptions extends TowersOptions {
  readonly decoder: DecoderOptions;
  /** Whether the head is needed, which gives logits. */
  readonly head: boolean;
  readonly onWarning: (warning: string) => void;
}

/** Unexpected tensors named in a warning. */
const NAMED_TENSORS = 3;

/** Decoder and towers of one checkpoint. Calls must not overlap. */
export class Gemma3nRuntime implements AsyncDisposable {
  readonly config: Gemma3nConfig;
  readonly decoder: Decoder;
  readonly towers: MediaTowers;
  readonly #device: Device;
  #audioPadding: Float32Array | undefined;

  private constructor(device: Device, decoder: Decoder, towers: MediaTowers) {
    this.config = decoder.config;
    this.decoder = decoder;
    this.towers = towers;
    this.#device = device;
  }

  /** Checks every tensor of the checkpoint, then loads the decoder. */
  static async load(
    options: RuntimeOptions,
    { signal }: PartOptions = {},
  ): Promise<Gemma3nRuntime> {
    const { config, checkpoint, onWarning } = options;
    const names = await checkpointNames(checkpoint, config, options);
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
      const towers = await MediaTowers.create(options, names);
      opened.push(towers);
      const unexpected = unexpectedTensors(
        checkpoint,
        [...decoder.tensorNames(names), ...towers.tensorNames],
        names,
        config,
      );
      if (unexpected.length > 0) onWarning(unexpectedWarning(unexpected));
      await decoder.load(loadOptions("text", options.onProgress, signal));
      return new Gemma3nRuntime(device, decoder, towers);
    } catch (error) {
      for (const part of opened) await part[Symbol.asyncDispose]();
      throw error;
    }
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
    await this.towers[Symbol.asyncDispose]();
  }
}

function unexpectedWarning(names: readonly string[]): string {
  const shown = names.slice(0, NAMED_TENSORS).map((name) => `"${name}"`);
  const more = names.length - shown.length;
  return `The checkpoint has ${names.length} tensors that Gemma 3n does not use: ${
    shown.join(", ")
  }${more > 0 ? ` and ${more} more` : ""}; they are ignored`;
}
