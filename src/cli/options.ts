// Options for loading a model, which all commands share, and the reading of
// numbers.
import { type Command, InvalidArgumentError, Option } from "commander";

import type {
  CacheDtypeOption,
  DtypeOption,
  ModelOptions,
  NamedDeviceOption,
  PerLayerEmbeddingsOption,
  ThreadsOption,
} from "../../mod.ts";

/** Options for loading a model. */
export interface ModelFlags {
  /** The default model when left out. */
  readonly model?: string;
  readonly revision?: string;
  readonly device?: NamedDeviceOption;
  readonly dtype?: DtypeOption;
  readonly cacheDtype?: CacheDtypeOption;
  readonly perLayerEmbeddings?: PerLayerEmbeddingsOption;
  readonly threads?: ThreadsOption;
  readonly contextLength?: number;
}

const DEVICES: readonly NamedDeviceOption[] = [
  "auto",
  "wasm",
  "webgpu",
  "reference",
];
const DTYPES: readonly DtypeOption[] = ["auto", "f32", "f16", "q8", "q4"];
const CACHE_DTYPES: readonly CacheDtypeOption[] = [
  "auto",
  "f32",
  "f16",
  "q8",
];
const PER_LAYER_EMBEDDINGS: readonly PerLayerEmbeddingsOption[] = [
  "auto",
  "file",
];

/** Adds the options for loading a model. */
export function addModelOptions(command: Command): Command {
  return command
    .optionsGroup("Model:")
    .option(
      "-m, --model <source>",
      "folder of a checkpoint or a .gguf file in it, its https: address, or a hub id (token from HF_TOKEN); default: g3n-nano, a very small model of the package @g3n/nano",
    )
    .option(
      "--revision <name>",
      "branch, tag or commit on the hub (default: main)",
    )
    .addOption(
      new Option("--device <name>", "where to compute (default: auto)")
        .choices(DEVICES),
    )
    .addOption(
      new Option("--dtype <name>", "format of the weights (default: auto)")
        .choices(DTYPES),
    )
    .addOption(
      new Option(
        "--cache-dtype <name>",
        "format of keys and values (default: auto)",
      )
        .choices(CACHE_DTYPES),
    )
    .addOption(
      new Option(
        "--per-layer-embeddings <place>",
        "where they are read from; auto: a GPU with room (default: auto)",
      )
        .choices(PER_LAYER_EMBEDDINGS),
    )
    .option(
      "--threads <count>",
      "threads to compute with, or auto (default: auto, 1 for small models)",
      threadCount,
    )
    .option(
      "--context-length <tokens>",
      "most tokens of prompt and answer (default: the model's, at most 4096)",
      positiveInteger,
    );
}

/** The flags as options of the library; a command has one sequence at a time. */
export function modelOptions(flags: ModelFlags): ModelOptions {
  const { revision, device, dtype, cacheDtype, perLayerEmbeddings } = flags;
  const { threads, contextLength } = flags;
  return {
    revision,
    device,
    dtype,
    cacheDtype,
    perLayerEmbeddings,
    threads,
    contextLength,
    maxBatchSize: 1,
  };
}

/** Reads a number above 0; anything else is a usage error. */
export function positiveNumber(text: string): number {
  const value = number(text);
  if (value <= 0) throw new InvalidArgumentError("It is not above 0.");
  return value;
}

/** Reads a number from 0 to 1; anything else is a usage error. */
export function share(text: string): number {
  const value = number(text);
  if (value < 0 || value > 1) {
    throw new InvalidArgumentError("It is not between 0 and 1.");
  }
  return value;
}

/** Reads a whole number of at least 0; anything else is a usage error. */
export function wholeNumber(text: string): number {
  const value = number(text);
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new InvalidArgumentError("It is not a whole number of at least 0.");
  }
  return value;
}

/** Reads a whole number of at least 1; anything else is a usage error. */
export function positiveInteger(text: string): number {
  const value = number(text);
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new InvalidArgumentError("It is not a whole number of at least 1.");
  }
  return value;
}

function threadCount(text: string): ThreadsOption {
  return text === "auto" ? "auto" : positiveInteger(text);
}

/** Collects the values of an option that may be repeated. */
export function collect(text: string, before: string[] = []): string[] {
  return [...before, text];
}

function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) {
    throw new InvalidArgumentError("It is not a number.");
  }
  return value;
}
