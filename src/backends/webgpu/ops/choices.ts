// Records kernels that choose an id of each row of logits.
import { InputError } from "../../../core/errors.ts";
import type { NoiseKey, TokenSampling } from "../../../core/random.ts";
import { argmaxMergeWgsl, argmaxWgsl } from "../kernels/argmax.ts";
import { DRAW_WORDS } from "../kernels/draws.ts";
import { LOGITS_CHUNK } from "../kernels/logit_keys.ts";
import { sampleMergeWgsl, sampleWgsl } from "../kernels/sample.ts";
import { sampleTopKWgsl } from "../kernels/sample_top_k.ts";
import { TOP_K_ENTRIES, topKWgsl } from "../kernels/top_k.ts";
import type { Recorder } from "../recorder.ts";
import {
  F32_BYTES,
  type Region,
  type StepBuffer,
  type WebGpuTensor,
} from "../tensors.ts";

/** Bytes of a candidate: the order of its logit and its index. */
const CANDIDATE_BYTES = 8;

/** What is chosen from: `[rows, vocab]`. */
interface Logits {
  readonly logits: WebGpuTensor;
  readonly rows: number;
  readonly vocab: number;
}

/** Where the chosen ids go: an f32 each, from element `first` on. */
interface Chosen {
  readonly region: Region;
  readonly first: number;
}

/** How to sample. */
interface Noise {
  readonly keys: readonly NoiseKey[];
  readonly sampling: TokenSampling;
}

/** Records the choice of the likeliest id of each row. */
export function recordArgmax(
  r: Recorder,
  { logits, rows, vocab }: Logits,
  to: Chosen,
): void {
  const chunks = Math.ceil(vocab / LOGITS_CHUNK);
  const bests = r.room(rows * chunks * CANDIDATE_BYTES);
  r.dispatch({
    code: argmaxWgsl,
    constants: { VOCAB: vocab },
    reads: [logits],
    writes: [bests],
    workgroups: [chunks, rows, 1],
  });
  r.dispatch({
    code: argmaxMergeWgsl,
    constants: { CHUNKS: chunks },
    reads: [bests],
    writes: [to.region],
    params: [to.first],
    workgroups: [rows, 1, 1],
  });
}

/** Whether kernels can sample so: of all ids, or of few and their nucleus. */
export function canSample({ topK, topP }: TokenSampling): boolean {
  return topK === 0 ? topP >= 1 : topK <= TOP_K_ENTRIES;
}

/** Records a sample of each row. */
export function recordSample(
  r: Recorder,
  from: Logits,
  to: Chosen,
  noise: Noise,
): void {
  if (noise.sampling.topK > 0) sampleTopK(r, from, to, noise);
  else sampleAll(r, from, to, noise);
}

/** Records a sample of all ids of each row. */
function sampleAll(
  r: Recorder,
  { logits, rows, vocab }: Logits,
  { region, first }: Chosen,
  { keys, sampling: { temperature } }: Noise,
): void {
  const chunks = Math.ceil(vocab / LOGITS_CHUNK);
  const draws = r.room(rows * chunks * DRAW_WORDS * F32_BYTES);
  r.dispatch({
    code: sampleWgsl,
    constants: { VOCAB: vocab },
    reads: [logits, noiseKeys(r, keys)],
    writes: [draws],
    params: [f32Bits(temperature)],
    workgroups: [chunks, rows, 1],
  });
  r.dispatch({
    code: sampleMergeWgsl,
    constants: { CHUNKS: chunks },
    reads: [draws],
    writes: [region],
    params: [first],
    workgroups: [rows, 1, 1],
  });
}

/** Records a sample of the likeliest ids of each row. */
function sampleTopK(
  r: Recorder,
  { logits, rows, vocab }: Logits,
  { region, first }: Chosen,
  { keys, sampling: { temperature, topK, topP } }: Noise,
): void {
  const chunks = Math.ceil(vocab / LOGITS_CHUNK);
  const entries = r.room(rows * chunks * TOP_K_ENTRIES * 2 * F32_BYTES);
  const heads = r.room(rows * chunks * 4 * F32_BYTES);
  r.dispatch({
    code: topKWgsl,
    constants: { VOCAB: vocab },
    reads: [logits],
    writes: [entries, heads],
    params: [topK],
    workgroups: [chunks, rows, 1],
  });
  r.dispatch({
    code: topKCode(chunks),
    reads: [entries, heads, noiseKeys(r, keys)],
    writes: [region],
    params: [first, topK, f32Bits(temperature), f32Bits(topP)],
    workgroups: [rows, 1, 1],
  });
}

const codes = new Map<number, string>();

/** The same string for the same kernel: it is the key of its pipelines. */
function topKCode(chunks: number): string {
  let code = codes.get(chunks);
  if (code === undefined) codes.set(chunks, code = sampleTopKWgsl(chunks));
  return code;
}

/** Keys as kernels/draws.ts has them. */
function noiseKeys(r: Recorder, keys: readonly NoiseKey[]): StepBuffer {
  return r.values(Uint32Array.from(keys.flatMap(({ seed, step, stream }) => [
    seed >>> 0,
    Math.floor(seed / 2 ** 32),
    step,
    stream,
  ])));
}

function f32Bits(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]!;
}

export function requireSampling(
  keys: readonly NoiseKey[],
  rows: number,
  sampling: TokenSampling,
): void {
  if (keys.length !== rows) {
    throw new InputError(
      `Cannot record "sample": found ${keys.length} keys, wanted ${rows}`,
    );
  }
  if (!canSample(sampling)) {
    const { topK, topP } = sampling;
    throw new InputError(
      `Cannot record "sample": topK ${topK} with topP ${topP} is for the host; ` +
        "ask canSample() before",
    );
  }
}
