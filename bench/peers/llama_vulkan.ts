// llama.cpp on a GPU through Vulkan, with the file that bench/real_size.ts has it
// read on the CPU, made where there is none:
//   (cd bench/peers && npm install)
//   deno run -A --no-check bench/peers/llama_vulkan.ts [FILE] [--folder DIR]
//     [--prompts 512,2048] [--contexts 128,8192] [--batches 512,2048]
//     [--tokens 64] [--turns 3] [--software]
// Prints the versions, the GPU, then lines that bench/gpu.ts reads (--llama):
//
//   decode, prefill   by llama.cpp's own clock, which ends with the logits; of a
//                     prompt the best turn, and the better size of a batch
//   chosen by host    by the clock of the caller, with node-llama-cpp's choice of
//                     the likeliest token
//
// A GPU in software is an error unless --software; llama.cpp takes one only where
// GGML_VK_VISIBLE_DEVICES names it.
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { detectPlatform } from "../../src/platform/detect.ts";
import { promptIds, timed } from "../real_size/engine_protocol.ts";
import { makeGguf } from "../real_size/make_gguf.ts";
import { openPeer, type PeerFile, type PeerModel } from "./llama_cpp.ts";
import { LlamaLog } from "./llama_log.ts";

/** Tokens before the clock starts. */
const WARM_UP = 4;
/** For what stays on the CPU: llama.cpp looks rows up in one thread anyhow. */
const CPU_THREADS = 1;
/** Tokens of a context that only shows where nodes are computed. */
const PLACES_CONTEXT = 64;
const SOFTWARE = /llvmpipe|lavapipe|swiftshader/i;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    folder: { type: "string", default: join(tmpdir(), "g3n-bench") },
    prompts: { type: "string", default: "512,2048" },
    contexts: { type: "string", default: "128,8192" },
    batches: { type: "string", default: "512,2048" },
    tokens: { type: "string", default: "64" },
    turns: { type: "string", default: "3" },
    software: { type: "boolean", default: false },
  },
});
const prompts = options.prompts.split(",").map(Number);
const contexts = options.contexts.split(",").map(Number);
const batches = options.batches.split(",").map(Number);
const tokens = Number(options.tokens);
const turns = Number(options.turns);
const contextLength = Math.max(...prompts, ...contexts) + WARM_UP + tokens + 1;

const path = positionals[0] ?? await madeFile(options.folder);
const name = positionals[0] === undefined
  ? "E2B"
  : basename(path, ".gguf").replace(/\W/g, "_");
const log = new LlamaLog();
const file = await openPeer(path, {
  threads: CPU_THREADS,
  onVulkanLog: (line) => log.add(line),
});

await tellPlaces(file);
/** Seconds of the best turn of each prompt, and the batch that it was in. */
const best = new Map<number, { own: number; whole: number; batch: number }>();
for (const [i, batch] of batches.entries()) {
  // A batch larger than the prompt is none of another size.
  const longer = prompts.filter((prompt) => i === 0 || prompt >= batch);
  if (longer.length === 0) continue;
  await using peer = await file.start(contextLength, batch);
  const vocabulary = await checkedVocabulary(peer);
  for (const prompt of longer) {
    await timePrefill(peer, vocabulary, prompt, batch);
  }
  if (i > 0) continue;
  for (const context of contexts) await timeDecode(peer, vocabulary, context);
}
for (const [prompt, { own, whole, batch }] of best) {
  print(`prefill ${prompt}`, [
    `${(prompt / own).toFixed(0)} tok/s`,
    `${ms(own)}`,
    `with the first token chosen ${ms(whole)}`,
    `in batches of ${batch}`,
  ]);
}
process.exit(0);

async function madeFile(folder: string): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, "e2b-q4_0.gguf");
  await makeGguf(await detectPlatform(), file, "e2b", "q4_0");
  return file;
}

/** Tells the versions, the GPU, and what llama.cpp computes elsewhere. */
async function tellPlaces(peer: PeerFile): Promise<void> {
  const [gpu] = peer.gpus;
  if (gpu === undefined) {
    throw new Error(
      "Cannot time llama.cpp on a GPU: Vulkan has no device that it takes; " +
        "name the driver's manifest in VK_DRIVER_FILES",
    );
  }
  if (SOFTWARE.test(gpu) && !options.software) {
    throw new Error(
      `Cannot time llama.cpp on a GPU: "${gpu}" computes on the CPU; ` +
        "--software times it all the same",
    );
  }
  const [, layers, all] = log.found(/offloaded (\d+)\/(\d+) layers to GPU/);
  if (layers !== all) {
    throw new Error(
      `Cannot time llama.cpp on a GPU: ${layers} of ${all} layers are there`,
    );
  }
  // A context that is made now logs the place of each node.
  process.env.GGML_SCHED_DEBUG = "2";
  const context = await peer.start(PLACES_CONTEXT, PLACES_CONTEXT);
  delete process.env.GGML_SCHED_DEBUG;
  await context[Symbol.asyncDispose]();
  const [, about] = log.found(/ggml_vulkan: 0 = (.*)/);
  const [, mib] = log.found(/Vulkan0 model buffer size = +([\d.]+) MiB/);
  const [, type] = log.found(/file type += (\w+)/);
  const [, nodes, splits] = log.found(/graph: nodes = (\d+), splits = (\d+)/);
  console.log(
    `llama.cpp ${peer.version} through node-llama-cpp ` +
      `${packageVersion()}, Vulkan, ${type!.toLowerCase()}`,
  );
  console.log(`device: ${about}${kernelDriver()}`);
  print("memory", [
    `weights ${Number(mib).toFixed(0)} MiB`,
    `${layers} of ${all} layers`,
  ]);
  print("graph", [
    `${nodes} nodes`,
    `${splits} splits`,
    `on the CPU: ${log.operationsOnCpu().join(", ") || "none"}`,
  ]);
}

function packageVersion(): string {
  const { dependencies } = JSON.parse(
    readFileSync(new URL("package.json", import.meta.url), "utf8"),
  );
  return dependencies["node-llama-cpp"];
}

function kernelDriver(): string {
  const file = "/proc/driver/nvidia/version";
  return existsSync(file)
    ? `; ${readFileSync(file, "utf8").split("\n")[0]!.trim()}`
    : "";
}

/** Words of the vocabulary, after a look at the probabilities of them all. */
async function checkedVocabulary(peer: PeerModel): Promise<number> {
  const { logProbabilities } = await peer.generate([2], 1);
  const [logs] = logProbabilities;
  const sum = logs!.reduce((sum, x) => sum + Math.exp(x), 0);
  if (!(Math.abs(sum - 1) < 1e-3)) {
    throw new Error(`Probabilities of ${name} add up to ${sum}, not to 1`);
  }
  return logs!.length;
}

async function timePrefill(
  peer: PeerModel,
  vocabulary: number,
  prompt: number,
  batch: number,
): Promise<void> {
  const ids = promptIds(prompt).map((id) => id % vocabulary);
  // The first one compiles.
  for (let turn = 0; turn <= turns; turn++) {
    await peer.forget();
    await times(peer);
    const whole = await timed(() => peer.evaluate(ids));
    const { prompt: own } = await times(peer);
    if (own.tokens !== prompt) {
      throw new Error(`llama.cpp took ${own.tokens} tokens, not ${prompt}`);
    }
    const before = best.get(prompt)?.own ?? Infinity;
    if (turn === 0 || own.seconds >= before) continue;
    best.set(prompt, { own: own.seconds, whole, batch });
  }
}

async function timeDecode(
  peer: PeerModel,
  vocabulary: number,
  context: number,
): Promise<void> {
  const ids = promptIds(context).map((id) => id % vocabulary);
  const owns: number[] = [];
  const wholes: number[] = [];
  for (let turn = 0; turn <= turns; turn++) {
    await peer.forget();
    let last = await peer.evaluate(ids);
    const decode = async (count: number) => {
      for (let i = 0; i < count; i++) last = await peer.evaluate([last]);
    };
    await decode(WARM_UP);
    await times(peer);
    const whole = await timed(() => decode(tokens));
    const { token: own } = await times(peer);
    if (own.tokens !== tokens) {
      throw new Error(`llama.cpp made ${own.tokens} tokens, not ${tokens}`);
    }
    if (turn === 0) continue;
    owns.push(own.seconds / tokens);
    wholes.push(whole / tokens);
  }
  printTurns(`decode at ${context}`, owns);
  printTurns(`at ${context}, chosen by the host`, wholes);
}

/** llama.cpp's own times since the last call. */
async function times(peer: PeerModel) {
  log.forgetTimes();
  await peer.logTimes();
  return await log.times();
}

/** Prints the median of turns, and the best, in seconds of a token. */
function printTurns(what: string, seconds: readonly number[]): void {
  const sorted = seconds.toSorted((a, b) => a - b);
  const median = sorted[sorted.length >> 1]!;
  print(what, [
    `${(1 / median).toFixed(1)} tok/s`,
    `${ms(median, 3)} (best ${(1000 * sorted[0]!).toFixed(3)})`,
  ]);
}

function ms(seconds: number, digits = 1): string {
  return `${(1000 * seconds).toFixed(digits)} ms`;
}

function print(what: string, figures: readonly string[]): void {
  console.log(`${name.padEnd(6)} ${what.padEnd(30)} ${figures.join(", ")}`);
}
