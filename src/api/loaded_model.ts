// A checkpoint in memory with the queue of its calls: what all model classes
// are made of.
import { InputError } from "../core/errors.ts";
import type { GenerationConfig } from "../generation/generation_config.ts";
import { parseGenerationConfig } from "../generation/parse_generation_config.ts";
import type { ModelSource } from "../hub/source.ts";
import { type Checkpoint, openCheckpoint } from "../io/checkpoint.ts";
import type { Gemma3nConfig } from "../models/gemma3n/config.ts";
import { Gemma3nRuntime } from "../models/gemma3n/model.ts";
import type { SequenceCache } from "../models/gemma3n/sequence_cache.ts";
import { CachePool } from "./cache_pool.ts";
import { CallQueue } from "./call_queue.ts";
import { decoderOptions } from "./decoder_options.ts";
import { countParameters, deviceFactory, resolveDtype } from "./devices.ts";
import { readConfig } from "./model_config.ts";
import {
  type ModelOptions,
  type OpenedSource,
  openSource,
  readJson,
} from "./model_options.ts";

/** Which parts of a checkpoint a class has. */
export interface ModelParts {
  /** Whether pictures and sound are taken, where the checkpoint has towers. */
  readonly towers: boolean;
  /** Whether it gives logits. */
  readonly head: boolean;
}

/** A checkpoint in memory. */
export class LoadedModel implements AsyncDisposable {
  readonly config: Gemma3nConfig;
  /** Defaults of `generate()`, from generation_config.json. */
  readonly generationConfig: GenerationConfig;
  readonly runtime: Gemma3nRuntime;
  readonly queue: CallQueue = new CallQueue();
  readonly pool: CachePool;
  /** Tells each warning once. */
  readonly warn: (warning: string) => void;
  readonly #checkpoint: Checkpoint;
  #disposal: Promise<void> | undefined;

  private constructor(
    runtime: Gemma3nRuntime,
    checkpoint: Checkpoint,
    generationConfig: GenerationConfig,
    warn: (warning: string) => void,
  ) {
    this.config = runtime.config;
    this.generationConfig = generationConfig;
    this.runtime = runtime;
    this.warn = warn;
    this.#checkpoint = checkpoint;
    this.pool = new CachePool((maxLength) =>
      runtime.decoder.createCache(maxLength)
    );
  }

  /** Checks a checkpoint and loads its decoder. */
  static async load(
    source: ModelSource,
    options: ModelOptions,
    parts: ModelParts,
  ): Promise<LoadedModel> {
    const opened = await openSource(source, options);
    try {
      return await LoadedModel.#load(opened, options, parts);
    } finally {
      opened.endLoading();
    }
  }

  static async #load(
    { platform, files, warn, signal }: OpenedSource,
    options: ModelOptions,
    { towers, head }: ModelParts,
  ): Promise<LoadedModel> {
    const { device = "auto", dtype = "auto", threads } = options;
    const { wasmModule, onProgress } = options;
    const whole = await readConfig(files);
    const config = towers ? whole : decoderConfig(whole);
    const generationJson = await readJson(files, "generation_config.json");
    const generationConfig = generationJson === undefined
      ? { eosTokenId: config.textConfig.eosTokenId }
      : parseGenerationConfig(generationJson, warn);
    const checkpoint = await openCheckpoint(files);
    try {
      const parameters = countParameters(checkpoint);
      const createDevice = deviceFactory(
        { platform, device, parameters, threads, wasmModule, warn },
      );
      const format = resolveDtype(dtype, checkpoint);
      const runtime = await Gemma3nRuntime.load({
        config,
        checkpoint,
        createDevice,
        dtype: format,
        decoder: decoderOptions(config, options, format),
        head,
        onWarning: warn,
        onProgress,
      }, { signal });
      return new LoadedModel(runtime, checkpoint, generationConfig, warn);
    } catch (error) {
      await checkpoint[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Runs a call in its turn. */
  run<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.queue.run(call, signal);
  }

  /** Makes a cache that the caller disposes. */
  createCache(maxLength?: number): SequenceCache {
    if (this.#disposal !== undefined) throw disposedError();
    return this.runtime.decoder.createCache(maxLength);
  }

  /**
   * Lets the running call end and refuses all others, then gives all memory
   * back and closes the files.
   */
  dispose(): Promise<void> {
    return this.#disposal ??= this.#dispose();
  }

  /** {@link LoadedModel.dispose} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  async #dispose(): Promise<void> {
    this.pool.close(disposedError);
    this.queue.close(disposedError);
    await this.queue.idle();
    await this.runtime[Symbol.asyncDispose]();
    await this.#checkpoint[Symbol.asyncDispose]();
  }
}

function disposedError(): InputError {
  return new InputError(
    "Cannot use the model: it was disposed; load it again",
  );
}

/** The config of a checkpoint's decoder alone. */
export function decoderConfig(config: Gemma3nConfig): Gemma3nConfig {
  return {
    ...config,
    visionConfig: undefined,
    audioConfig: undefined,
    tieWordEmbeddings: config.textConfig.tieWordEmbeddings,
  };
}
