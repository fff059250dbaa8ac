// Options of fromPretrained(), and what both models and processors do with
// them first.
import type { CacheDtype } from "../core/dtype.ts";
import { parseJsonObject } from "../core/json.ts";
import { type ModelSource, resolveSource } from "../hub/source.ts";
import type { ModelFiles } from "../io/model_files.ts";
import type { PartProgress } from "../models/gemma3n/media_towers.ts";
import { detectPlatform } from "../platform/detect.ts";
import type { Platform } from "../platform/platform.ts";
import type { DeviceOption, DtypeOption, ThreadsOption } from "./devices.ts";

/** Options for finding files and being told things. */
export interface SourceOptions {
  /** Branch, tag or commit on the hub. Default `main`. */
  readonly revision?: string | undefined;
  /** Access token of the hub; default the environment's HF_TOKEN. */
  readonly token?: string | undefined;
  /** Receives what a careful user should know, each message once. Default `console.warn`. */
  readonly onWarning?: ((warning: string) => void) | undefined;
  /** Stops loading; the promise rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * How keys and values are kept; `"auto"` is f32 beside weights in float32, else
 * f16. `"q8"` takes about half of f16's memory and moves logits about as much as
 * weights in q8 do; GPUs have not got it.
 */
export type CacheDtypeOption = "auto" | CacheDtype;

/**
 * Where the table of per-layer embeddings is. A token needs a row of it. `"auto"`
 * loads it where the device chooses tokens itself and has room for it, as GPUs
 * do: several tokens a submission need it there. `"file"` never does, and reads
 * each row when it comes: less memory, and less to download from afar.
 */
export type PerLayerEmbeddingsOption = "auto" | "file";

/** Options of a model's `fromPretrained()`. */
export interface ModelOptions extends SourceOptions {
  /** Where to compute. Default `"auto"`. */
  readonly device?: DeviceOption | undefined;
  /** Number format of the weights. Default `"auto"`. */
  readonly dtype?: DtypeOption | undefined;
  /**
   * Threads to compute with while the calling one stays free. `"auto"` takes as
   * many as there are processors, at most 8, less one above 4, and 1 where
   * memory cannot be shared. Default: `"auto"` for models of 100 M parameters
   * and more, else 1: the calling thread computes. Results are the same with any
   * number.
   */
  readonly threads?: ThreadsOption | undefined;
  /** Most tokens of a sequence, prompt included. Default: the model's own limit, at most 4096. */
  readonly contextLength?: number | undefined;
  /** Sequences of `contextLength` there is room for. Default 4. */
  readonly maxBatchSize?: number | undefined;
  /** Most tokens computed in one step. Default 512. */
  readonly prefillChunk?: number | undefined;
  /** How keys and values are kept: `"f16"` takes half of f32's memory, `"q8"` little more than a quarter. Default `"auto"`. */
  readonly cacheDtype?: CacheDtypeOption | undefined;
  /** Where the table of per-layer embeddings is, nearly half of the parameters. Default `"auto"`. */
  readonly perLayerEmbeddings?: PerLayerEmbeddingsOption | undefined;
  /** Skip layers that share keys and values for prompt tokens whose logits nobody wants. Default true. */
  readonly fastPrefill?: boolean | undefined;
  /** Told how many bytes and tensors of a part are loaded: of the decoder at first, of a tower when it is first used. */
  readonly onProgress?: ((progress: PartProgress) => void) | undefined;
  /** Kernels compiled by the caller, where compiling at run time is forbidden. */
  readonly wasmModule?: WebAssembly.Module | undefined;
}

/** A source that has been found. */
export interface OpenedSource {
  readonly platform: Platform;
  readonly files: ModelFiles;
  /** Tells each warning once. */
  readonly warn: (warning: string) => void;
  /** The caller's signal, until `endLoading()`. */
  readonly signal: AbortSignal;
  /** Detaches the caller's signal: files stay in use after loading. */
  readonly endLoading: () => void;
}

/** Finds a source and readies the warnings. */
export async function openSource(
  source: ModelSource,
  options: SourceOptions,
): Promise<OpenedSource> {
  options.signal?.throwIfAborted();
  const platform = await detectPlatform();
  const { revision, token, onWarning } = options;
  const { signal, detach } = detachableSignal(options.signal);
  const files = await resolveSource(source, platform, {
    revision,
    token,
    signal,
  });
  const warn = warnOnce(onWarning ?? defaultWarning);
  return { platform, files, warn, signal, endLoading: detach };
}

// Sources keep their signal. An abort after loading must not reach the rows of
// the per-layer table or the towers, which are read later.
function detachableSignal(
  signal: AbortSignal | undefined,
): { signal: AbortSignal; detach: () => void } {
  const controller = new AbortController();
  const abort = () => controller.abort(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  return {
    signal: controller.signal,
    detach: () => signal?.removeEventListener("abort", abort),
  };
}

/** Reads a JSON file of a model; `undefined` when there is none. */
export async function readJson(
  files: ModelFiles,
  name: string,
): Promise<ReturnType<typeof parseJsonObject> | undefined> {
  const text = await files.readText(name);
  return text === undefined ? undefined : parseJsonObject(text, name);
}

function defaultWarning(warning: string): void {
  console.warn(warning);
}

function warnOnce(onWarning: (warning: string) => void) {
  const told = new Set<string>();
  return (warning: string) => {
    if (told.has(warning)) return;
    told.add(warning);
    onWarning(warning);
  };
}
