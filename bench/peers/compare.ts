// Compares llama.cpp and this library on the same GGUF files, made from a small
// random checkpoint: log-probabilities at every step of llama.cpp's greedy
// continuations, and the greedy choice. Prints a table; fails where they differ
// by more than the file's format rounds.
//
//   (cd bench/peers && npm install)
//   node --import tsx bench/peers/compare.ts [FOLDER]
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import {
  AutoProcessor,
  convertToGguf,
  Gemma3nForCausalLM,
  hostTensor,
} from "../../mod.ts";
import { loadPeer, type PeerModel } from "./llama_cpp.ts";
import { makeSmallCheckpoint } from "./make_small_checkpoint.ts";

const TOKENIZER = "tests/reference/tiny";
const NEW_TOKENS = 32;
const CONTEXT_LENGTH = 512;
const THREADS = 2;
const PROMPTS = [
  "The capital of France is",
  "식물은 특정 과정을 통해 에너지를 생성합니다.",
  "def fibonacci(n):\n    if n < 2:\n        return n\n",
  "item 0 is blue; item 1 is red; item 2 is red; item 3 is blue; item 4 is red; item 5 is red; item 6 is blue;",
  "Once upon a time",
];

/**
 * Differences of log-probabilities that each format's arithmetic explains, the
 * largest and the root mean square: llama.cpp rounds activations and cached
 * keys to half precision, with quantised weights to eight bits.
 */
const TOLERANCE = {
  f16: { largest: 0.1, rms: 0.03 },
  q8: { largest: 1, rms: 0.2 },
  q4: { largest: 1, rms: 0.2 },
} as const;

interface Comparison {
  /** Largest and root mean square difference of log-probabilities above {@link LIKELY}. */
  largest: number;
  squares: number;
  count: number;
  steps: number;
  /** Steps whose greedy choice differs, and the largest gap between best and second at one. */
  differing: number;
  widestGap: number;
}

/** Far out in the tail single-precision probabilities say little. */
const LIKELY = -12;

async function compare(
  path: string,
  prompts: readonly number[][],
): Promise<Comparison> {
  await using peer = await loadPeer(path, {
    threads: THREADS,
    contextLength: CONTEXT_LENGTH,
  });
  await using model = await Gemma3nForCausalLM.fromPretrained(path, {
    dtype: "f32",
    contextLength: CONTEXT_LENGTH,
  });
  const total: Comparison = {
    largest: 0,
    squares: 0,
    count: 0,
    steps: 0,
    differing: 0,
    widestGap: 0,
  };
  for (const prompt of prompts) {
    await comparePrompt(peer, model, prompt, total);
  }
  return total;
}

async function comparePrompt(
  peer: PeerModel,
  model: Gemma3nForCausalLM,
  prompt: readonly number[],
  total: Comparison,
): Promise<void> {
  const { ids, logProbabilities } = await peer.generate(prompt, NEW_TOKENS);
  const all = Int32Array.from([...prompt, ...ids.slice(0, -1)]);
  const { logits } = await model.forward({
    inputIds: hostTensor("int32", [1, all.length], all),
  }, { logitsToKeep: NEW_TOKENS });
  const V = logits!.shape[2]!;
  for (let step = 0; step < NEW_TOKENS; step++) {
    const ours = logSoftmax(logits!.data.subarray(step * V, (step + 1) * V));
    const theirs = logProbabilities[step]!;
    for (let id = 0; id < V; id++) {
      if (ours[id]! < LIKELY) continue;
      const difference = Math.abs(ours[id]! - theirs[id]!);
      total.largest = Math.max(total.largest, difference);
      total.squares += difference ** 2;
      total.count++;
    }
    total.steps++;
    const [best, second] = ours.toSorted().slice(-2).reverse();
    if (ours.indexOf(best!) !== ids[step]) {
      total.differing++;
      total.widestGap = Math.max(total.widestGap, best! - second!);
    }
  }
}

function logSoftmax(logits: Float32Array): Float32Array {
  const largest = logits.reduce((a, b) => Math.max(a, b));
  const sum = logits.reduce((s, x) => s + Math.exp(x - largest), 0);
  return logits.map((x) => x - largest - Math.log(sum));
}

const folder = process.argv[2] ?? mkdtempSync(join(tmpdir(), "g3n-peers-"));
const checkpoint = join(folder, "checkpoint");
makeSmallCheckpoint(checkpoint, TOKENIZER);
const processor = await AutoProcessor.fromPretrained(checkpoint);
const prompts: number[][] = [];
for (const text of PROMPTS) {
  const { inputIds } = await processor.process({ text });
  prompts.push([...inputIds.data]);
}
let failed = false;
console.log(
  "format  largest  rms      steps  other choice (widest gap)   tolerance",
);
for (const [dtype, tolerance] of Object.entries(TOLERANCE)) {
  const path = join(folder, `${dtype}.gguf`);
  const wanted = dtype as keyof typeof TOLERANCE;
  await convertToGguf(checkpoint, path, { dtype: wanted, overwrite: true });
  const found = await compare(path, prompts);
  const rms = Math.sqrt(found.squares / found.count);
  console.log(
    [
      dtype.padEnd(7),
      found.largest.toFixed(5),
      ` ${rms.toFixed(5)} `,
      String(found.steps).padEnd(5),
      ` ${found.differing} (${found.widestGap.toFixed(4)})`.padEnd(26),
      `${tolerance.largest}, rms ${tolerance.rms}`,
    ].join(" "),
  );
  failed ||= found.largest > tolerance.largest || rms > tolerance.rms ||
    found.widestGap > tolerance.largest;
}
if (failed) {
  console.error("llama.cpp and this library differ by more than the tolerance");
}
process.exit(failed ? 1 : 0);
