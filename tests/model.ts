// The tiny checkpoint as a loaded model, for tests of whole calls.
import { Gemma3nForConditionalGeneration } from "../src/api/gemma3n_for_conditional_generation.ts";
import type { Gemma3nInputs } from "../src/api/model_io.ts";
import type { ModelOptions } from "../src/api/model_options.ts";
import { type HostTensor, hostTensor } from "../src/core/tensor.ts";
import { detectPlatform } from "../src/platform/detect.ts";
import { golden, referencePath } from "./golden.ts";
import { testGpu } from "./testing.ts";

/** A device of {@link MODEL_DEVICES}. */
export type ModelDevice = "reference" | "wasm" | "webgpu";

/**
 * Devices that whole models are tested on: a GPU where there is one, and on Deno
 * the scalar reference, which is slow and whose numbers no runtime changes.
 */
export const MODEL_DEVICES: readonly ModelDevice[] = [
  ...((await detectPlatform()).name === "deno" ? ["reference"] as const : []),
  "wasm",
  ...(await testGpu() ? ["webgpu"] as const : []),
];

/** Largest difference of logits; how far float32 is from exact is in tests/reference/README.md. */
export const LOGITS_ATOL = 1e-3;
/** The same for `window` and the cases with pictures or sound. */
export const LONG_LOGITS_ATOL = 5e-3;

/** Cases of text alone. */
export const TEXT_CASES = [
  "text",
  "korean",
  "window",
  "batch",
  "chat",
] as const;
/** Cases with pictures or sound. */
export const MEDIA_CASES = [
  "image",
  "images",
  "audio",
  "long_audio",
  "mixed",
  "two_clips",
  "audio_batch",
] as const;

/** Any case with greedy ids. */
export type CaseName = (typeof TEXT_CASES | typeof MEDIA_CASES)[number];

/** Tolerance of a case's logits. */
export function logitsTolerance(name: CaseName): number {
  const short = name !== "window" &&
    (TEXT_CASES as readonly string[]).includes(name);
  return short ? LOGITS_ATOL : LONG_LOGITS_ATOL;
}

/** Loads tests/reference/tiny in float32; unexpected warnings fail the test. */
export async function loadTiny(
  device: ModelDevice,
  options: ModelOptions = {},
): Promise<Gemma3nForConditionalGeneration> {
  // One GPU for all tests of a file: its kernels are compiled once.
  const gpu = device === "webgpu" ? (await testGpu())!.gpu : undefined;
  const source = referencePath("tiny");
  return await Gemma3nForConditionalGeneration.fromPretrained(source, {
    device: gpu ?? device,
    dtype: "f32",
    contextLength: 1024,
    onWarning: (warning) => {
      throw new Error(`Unexpected warning: ${warning}`);
    },
    ...options,
  });
}

/** Inputs of a case as Transformers made them. */
export async function expectedInputs(name: CaseName): Promise<Gemma3nInputs> {
  const file = await golden();
  const optional = <T>(part: string, read: (name: string) => T) =>
    file.has(`${name}.${part}`) ? read(`${name}.${part}`) : undefined;
  return {
    inputIds: file.int32(`${name}.input_ids`),
    attentionMask: file.int32(`${name}.attention_mask`),
    pixelValues: optional("pixel_values", file.float32),
    inputFeatures: optional("input_features", file.float32),
    inputFeaturesMask: optional("input_features_mask", file.uint8),
  };
}

/** New ids of a case, a row for each sequence, as Transformers chose them. */
export async function expectedIds(name: CaseName): Promise<number[][]> {
  const { shape, data } = (await golden()).int32(`${name}.generated_ids`);
  const [B, T] = shape as [number, number];
  return Array.from(
    { length: B },
    (_, b) => [...data.subarray(b * T, (b + 1) * T)],
  );
}

/** Columns `first .. last` of int32 `[B, T]`. */
export function sliceColumns(
  { shape, data }: HostTensor<"int32">,
  first: number,
  last: number,
): HostTensor<"int32"> {
  const [B, T] = shape as [number, number];
  const width = last - first;
  const out = new Int32Array(B * width);
  for (let b = 0; b < B; b++) {
    out.set(data.subarray(b * T + first, b * T + last), b * width);
  }
  return hostTensor("int32", [B, width], out);
}
