// What a checkpoint is and what it takes to run it, without loading it.
import type { GpuInfo } from "../backends/webgpu/gpu_info.ts";
import type {
  CacheDtype,
  CheckpointDtype,
  WeightFormat,
} from "../core/dtype.ts";
import { numel } from "../core/shape.ts";
import type { ModelSource } from "../hub/source.ts";
import { openCheckpoint } from "../io/checkpoint.ts";
import { checkpointNames } from "../models/gemma3n/checkpoint_names.ts";
import type { Gemma3nConfig } from "../models/gemma3n/config.ts";
import { Decoder, type DecoderOptions } from "../models/gemma3n/decoder.ts";
import type { Device, DeviceName } from "../ops/device.ts";
import { decoderOptions } from "./decoder_options.ts";
import { asWebGpuDevice, deviceGpuInfo } from "./gpu_devices.ts";
import { countParameters, deviceFactory, resolveDtype } from "./devices.ts";
import { defaultModel } from "./default_model.ts";
import { readConfig } from "./model_config.ts";
import { type ModelOptions, openSource } from "./model_options.ts";

/** What a checkpoint is. */
export interface ModelInfo {
  /** Where it is. */
  readonly source: string;
  /** Its config.json. */
  readonly config: Gemma3nConfig;
  /** Values in all tensors. */
  readonly parameters: number;
  /** Number of tensors. */
  readonly tensors: number;
  /** Bytes of the tensors in each number format. */
  readonly storedBytes: Readonly<Partial<Record<CheckpointDtype, number>>>;
  /** Most tokens of a sequence, as it would be loaded. */
  readonly contextLength: number;
  /** Number format of most weights, as it would be loaded. */
  readonly dtype: WeightFormat;
  /** Number format of keys and values, as it would be loaded. */
  readonly cacheDtype: CacheDtype;
  /** Where it would compute. */
  readonly device: DeviceName;
  /** The GPU, where it would compute on one. */
  readonly gpu?: GpuInfo | undefined;
  /**
   * How often each kernel of the GPU runs for a token, where it would compute on
   * one. Kernels are called as the operation they are of.
   */
  readonly kernels?: Readonly<Record<string, number>> | undefined;
  /** Bytes of memory that the text decoder takes, as it would be loaded. */
  readonly memory: {
    readonly weights: number;
    /** Of `weights`: those that are left out where the GPU has too little. */
    readonly optionalWeights: number;
    readonly kv: number;
    readonly activations: number;
  };
}

/**
 * Reads the headers and the config of a checkpoint, checks the decoder's
 * tensors, and computes the memory it would take with these options. Where it
 * would compute on a GPU, says what GPU that is, and tries its features.
 *
 * @param source As for `pipeline()`.
 * @throws As `pipeline()`, except that memory is not taken.
 *
 * @example
 * ```ts
 * import { modelInfo } from "@g3n/core";
 *
 * const info = await modelInfo("tests/reference/tiny", { dtype: "f32" });
 * console.log(info.parameters, info.config.textConfig.numHiddenLayers);
 * ```
 */
export async function modelInfo(
  source?: ModelSource,
  options: ModelOptions = {},
): Promise<ModelInfo> {
  const { platform, files, warn } = await openSource(
    source ?? await defaultModel(),
    options,
  );
  const { device = "auto", dtype = "auto", threads } = options;
  const { wasmModule } = options;
  const config = await readConfig(files);
  await using checkpoint = await openCheckpoint(files);
  const parameters = countParameters(checkpoint);
  const createDevice = deviceFactory(
    { platform, device, parameters, threads, wasmModule, warn },
  );
  const format = resolveDtype(dtype, checkpoint);
  const sizes = decoderOptions(config, options, format);
  await using measured = await createDevice();
  const names = await checkpointNames(checkpoint, config);
  const decoder = (device: Device, sizes: DecoderOptions) =>
    new Decoder(device, checkpoint, names, config, sizes);
  decoder(measured, sizes).plan();
  const gpuDevice = asWebGpuDevice(measured);
  let kernels: ModelInfo["kernels"];
  if (gpuDevice) {
    // All of its steps have one row, the first one no picture or sound.
    await using single = await createDevice();
    decoder(single, { ...sizes, prefillChunk: 1 }).plan();
    kernels = Object.fromEntries(asWebGpuDevice(single)!.planned[0]!);
  }
  const storedBytes: Partial<Record<CheckpointDtype, number>> = {};
  for (const name of checkpoint.names()) {
    const { dtype, shape, rows, rowBytes } = checkpoint.get(name);
    if (numel(shape) === 0) continue;
    storedBytes[dtype] = (storedBytes[dtype] ?? 0) + rows * rowBytes;
  }
  return {
    source: files.describe(),
    config,
    parameters,
    tensors: checkpoint.names().length,
    storedBytes,
    contextLength: sizes.contextLength,
    dtype: format,
    cacheDtype: sizes.cacheDtype,
    device: measured.name,
    gpu: await deviceGpuInfo(measured),
    kernels,
    memory: {
      ...measured.requiredBytes(),
      optionalWeights: gpuDevice?.optionalBytes ?? 0,
    },
  };
}
