// What `g3n info` prints for people: a table of a model, and of the GPU it
// would compute on.
import type { GpuInfo, GpuSubgroupInfo, ModelInfo } from "../../mod.ts";

/** A label and what it is of; without a label the line goes on. */
type Row = readonly [label: string, text: string];

const LABEL_WIDTH = 12;
/** What a 32-bit address reaches. */
const MAX_WASM_BYTES = 2 ** 32;

/** The table. */
export function formatInfo(info: ModelInfo): string {
  return [...modelRows(info), ...deviceRows(info)]
    .map(([label, text]) => `${label.padEnd(LABEL_WIDTH)}${text}\n`)
    .join("");
}

function modelRows(info: ModelInfo): Row[] {
  const { textConfig: text, visionConfig: vision, audioConfig: audio } =
    info.config;
  const shared = text.numKvSharedLayers;
  const sparse = text.activationSparsityPattern.filter((s) => s > 0).length;
  const stored = Object.entries(info.storedBytes).map(([dtype, bytes]) =>
    `${dtype} ${megabytes(bytes)}`
  );
  const { weights, kv, activations } = info.memory;
  return [
    ["Source", info.source],
    ["Parameters", `${millions(info.parameters)} in ${info.tensors} tensors`],
    ["Stored", stored.join(", ")],
    [
      "Decoder",
      `${text.numHiddenLayers} layers (${shared} share keys and values, ${sparse} sparse), hidden size ${text.hiddenSize}, vocabulary ${text.vocabSize}`,
    ],
    [
      "Pictures",
      vision ? `${vision.msfaOutputResolution ** 2} tokens each` : "no",
    ],
    [
      "Sound",
      audio ? `${info.config.audioSoftTokensPerImage} tokens a clip` : "no",
    ],
    [
      "Context",
      `${info.contextLength} of ${text.maxPositionEmbeddings} tokens`,
    ],
    [
      "Memory",
      `${
        megabytes(weights + kv + activations)
      } for text in ${info.dtype}: weights ${megabytes(weights)}, cache ${
        megabytes(kv)
      } in ${info.cacheDtype}, a step ${megabytes(activations)}`,
    ],
    ...memoryRows(info),
  ];
}

/** What need not fit, and what the memory is too small for. */
function memoryRows({ device, gpu, memory }: ModelInfo): Row[] {
  const { weights, kv, activations, optionalWeights } = memory;
  if (device === "wasm" && weights + kv + activations > MAX_WASM_BYTES) {
    return [["", "which is more than the 4 GiB of a WebAssembly memory"]];
  }
  if (gpu && kv > gpu.limits.maxBufferSize) {
    const most = megabytes(gpu.limits.maxBufferSize);
    return [["", `of which the cache is more than the GPU's ${most} a buffer`]];
  }
  if (optionalWeights > 0) {
    const bytes = megabytes(optionalWeights);
    return [[
      "",
      `of which ${bytes} of per-layer embeddings stay in the file where the GPU has no room`,
    ]];
  }
  return [];
}

function deviceRows({ device, gpu, kernels }: ModelInfo): Row[] {
  return [
    ["Device", device],
    ...gpu ? gpuRows(gpu) : [],
    ...kernels ? [kernelsRow(kernels)] : [],
  ];
}

/** Kernels of a token by their operations, the most frequent ones first. */
function kernelsRow(kernels: Readonly<Record<string, number>>): Row {
  const counts = new Map<string, number>();
  let total = 0;
  for (const [kernel, count] of Object.entries(kernels)) {
    const [operation = ""] = kernel.split(" ");
    counts.set(operation, (counts.get(operation) ?? 0) + count);
    total += count;
  }
  const listed = [...counts].sort(([, a], [, b]) => b - a)
    .map(([operation, count]) => `${count} of ${operation}`);
  return ["Kernels", `${total} a token: ${listed.join(", ")}`];
}

function gpuRows({ limits, subgroups, features, ...gpu }: GpuInfo): Row[] {
  const name = [gpu.description, gpu.architecture, `vendor ${gpu.vendor}`]
    .filter((part) => part !== "").join(", ");
  return [
    ["GPU", `${name}, in ${gpu.isSoftware ? "software" : "hardware"}`],
    [
      "Limits",
      `${megabytes(limits.maxBufferSize)} a buffer, ${
        megabytes(limits.maxStorageBufferBindingSize)
      } of it at once, ${limits.maxStorageBuffersPerShaderStage} buffers a kernel`,
    ],
    [
      "",
      `workgroups of ${limits.maxComputeInvocationsPerWorkgroup} threads and ${limits.maxComputeWorkgroupStorageSize} bytes`,
    ],
    ["Subgroups", spellSubgroups(subgroups)],
    ["Features", `${features.join(", ") || "none"}: listed, not used`],
  ];
}

function spellSubgroups({ granted, works, size }: GpuSubgroupInfo): string {
  if (!granted) return "none";
  return works
    ? `of ${size} threads (works)`
    : "of varying size, or with wrong results: not used";
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function millions(count: number): string {
  return `${(count / 1e6).toFixed(1)} M`;
}
