// This library at the size of the released models, beside llama.cpp on the same
// file and beside what the machine can do, by turns:
//   deno task bench:real [--folder DIR] [--size e2b] [--format q4_0]
//     [--runtimes deno,bun,node] [--threads 1,2] [--rounds 3] [--long] [--towers]
// llama.cpp takes part once `npm install` was run in bench/peers. Writes
// bench/RESULTS.md, unless --dry.
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
import { makeTowers } from "./real_size/make_towers.ts";
import { Figures, measureModel } from "./real_size/measure.ts";
import { renderResults } from "./real_size/report.ts";
import { decoderWork } from "./real_size/decoder_work.ts";

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
    towers: { type: "boolean", default: false },
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
const figures = new Figures();
for (const runtime of options.runtimes.split(",")) {
  await measureRuntime(runtime);
  if (options.towers) await measureTowers(runtime);
}
const page = here("RESULTS.md");
const before = existsSync(page) ? readFileSync(page, "utf8") : "";
const text = renderResults({
  figures,
  runtimes: options.runtimes.split(","),
  threads,
  fileBytes,
  file: `${size}, ${format}`,
  work: await decoderWork(path, CONTEXT_LENGTH),
}, before);
console.log(text);
if (!options.dry) writeFileSync(page, text);

async function measureRuntime(runtime: string): Promise<void> {
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

async function measureTowers(runtime: string): Promise<void> {
  const folder = join(options.folder, "towers");
  mkdirSync(folder, { recursive: true });
  await makeTowers(platform, folder);
  for (const count of threads) {
    await using engine = await start(runtime, "real_size/tower_engine.ts", [
      folder,
      count,
    ]);
    for (const name of ["image", "audio"]) {
      const key = `${runtime}/towers/${count}`;
      figures.add(key, `${name} first`, await engine.call(name));
      for (let i = 0; i < 2; i++) {
        figures.add(key, name, await engine.call(name));
      }
    }
    figures.add(
      `${runtime}/towers/${count}`,
      "peak",
      await engine.call("peakBytes"),
    );
  }
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
