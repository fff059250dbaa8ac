// This library at the size of the released models, beside llama.cpp on the same
// file and beside what the machine can do, by turns:
//   deno task bench:real [--folder DIR] [--size e2b] [--format q4_0]
//     [--runtimes deno,bun,node] [--threads 1,2] [--rounds 3] [--long]
//     [--memory] [--towers [--python PATH]]
// Rates of the decoder, none with `--rounds 0`; its memory with a full context
// and while it quantises bfloat16; the towers. llama.cpp takes part once
// `npm install` was run in bench/peers, PyTorch where a Python with the packages
// of bench/peers/transformers_cpu.py is named. Writes bench/RESULTS.md, unless
// --dry.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { detectPlatform } from "../src/platform/detect.ts";
import { EngineProcess } from "./real_size/engine_protocol.ts";
import {
  type FileFormat,
  makeGguf,
  type ModelSize,
} from "./real_size/make_gguf.ts";
import { decoderWork } from "./real_size/decoder_work.ts";
import { makeTowers, TOWERS } from "./real_size/make_towers.ts";
import { Figures, measureModel } from "./real_size/measure.ts";
import {
  FULL_CONTEXT,
  measureMemory,
  memoryFiles,
  memoryTable,
} from "./real_size/measure_memory.ts";
import {
  measureTowerPeer,
  measureTowers,
  towersTable,
} from "./real_size/measure_towers.ts";
import { renderPart, renderResults } from "./real_size/report.ts";
import { towerWork } from "./real_size/tower_work.ts";

/** How each runtime runs a script; Node does so for llama.cpp, too. */
const COMMANDS: Readonly<Record<string, readonly string[]>> = {
  deno: ["deno", "run", "-A"],
  bun: ["bun"],
  node: ["node", "--import", "tsx"],
};
const CONTEXT_LENGTH = 4352;

const { values: options } = parseArgs({
  options: {
    folder: { type: "string", default: join(tmpdir(), "g3n-bench") },
    size: { type: "string", default: "e2b" },
    format: { type: "string", default: "q4_0" },
    runtimes: { type: "string", default: "deno" },
    threads: { type: "string", default: "1,2" },
    rounds: { type: "string", default: "3" },
    long: { type: "boolean", default: false },
    memory: { type: "boolean", default: false },
    towers: { type: "boolean", default: false },
    python: { type: "string" },
    dry: { type: "boolean", default: false },
  },
});
const size = options.size as ModelSize;
const format = options.format as FileFormat;
const threads = options.threads.split(",").map(Number);
const most = Math.max(...threads);
const hasPeer = existsSync(here("peers/node_modules/node-llama-cpp"));

const platform = await detectPlatform();
mkdirSync(options.folder, { recursive: true });
const path = join(options.folder, `${size}-${format}.gguf`);
const fileBytes = await makeGguf(platform, path, size, format);
const pagePath = here("RESULTS.md");
let page = existsSync(pagePath) ? readFileSync(pagePath, "utf8") : "";
for (const runtime of options.runtimes.split(",")) {
  if (Number(options.rounds) > 0) {
    const figures = new Figures();
    await measureRuntime(runtime, figures);
    page = renderResults({
      figures,
      runtimes: [runtime],
      threads,
      fileBytes,
      file: `${size}, ${format}`,
      work: await decoderWork(path, CONTEXT_LENGTH),
    }, page);
  }
  if (options.memory) page = await measureMemoryOf(runtime, page);
  if (options.towers) page = await measureTowersOf(runtime, page);
}
console.log(page);
if (!options.dry) writeFileSync(pagePath, page);

async function measureRuntime(
  runtime: string,
  figures: Figures,
): Promise<void> {
  const ours = (count: number, fast: boolean) =>
    start(runtime, "real_size/our_engine.ts", [
      path,
      count,
      CONTEXT_LENGTH,
      fast,
    ]);
  const engines = new Map<string, EngineProcess>();
  try {
    for (const count of threads) {
      const bounds = await start(runtime, "real_size/bounds_engine.ts", [
        count,
      ]);
      engines.set(`${runtime}/bounds/${count}`, bounds);
      engines.set(`${runtime}/ours/${count}`, await ours(count, true));
      if (!hasPeer) continue;
      engines.set(
        `${runtime}/llama.cpp/${count}`,
        await start("node", "peers/llama_cpp_engine.ts", [
          path,
          count,
          CONTEXT_LENGTH,
        ]),
      );
    }
    engines.set(`${runtime}/slow prefill/${most}`, await ours(most, false));
    await measureModel(engines, figures, {
      rounds: Number(options.rounds),
      long: options.long,
      mostThreads: most,
    });
  } finally {
    for (const engine of engines.values()) await engine[Symbol.asyncDispose]();
  }
}

/** Gives the page with a section of the towers. */
async function measureTowersOf(
  runtime: string,
  page: string,
): Promise<string> {
  const folder = join(options.folder, "towers");
  mkdirSync(folder, { recursive: true });
  await makeTowers(platform, folder);
  const found = new Figures();
  for (const count of threads) {
    await using towers = await start(runtime, "real_size/tower_engine.ts", [
      folder,
      count,
    ]);
    await using bounds = await start(runtime, "real_size/bounds_engine.ts", [
      count,
    ]);
    await measureTowers({ towers, bounds, threads: count }, found);
  }
  if (options.python) measureTowerPeer(options.python, most, found);
  const work = await towerWork(platform, TOWERS, 768, 3000);
  const name = "towers";
  return renderPart(runtime, name, [towersTable(threads, work, found)], page);
}

/** Gives the page with a section of memory. */
async function measureMemoryOf(
  runtime: string,
  page: string,
): Promise<string> {
  const found = new Figures();
  const files = await memoryFiles(platform, options.folder, path, size);
  const engine = (source: string) =>
    start(runtime, "real_size/our_engine.ts", [
      source,
      most,
      FULL_CONTEXT,
      true,
    ]);
  await measureMemory(files, engine, found);
  const name = `memory of ${size}`;
  return renderPart(runtime, name, [memoryTable(files, found)], page);
}

function start(
  runtime: string,
  script: string,
  args: readonly (string | number | boolean)[],
): Promise<EngineProcess> {
  return EngineProcess.start([
    ...COMMANDS[runtime]!,
    here(script),
    ...args.map(String),
  ]);
}

function here(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

process.exit(0);
