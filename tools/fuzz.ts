// Feeds damaged files to every parser until time is up:
//   deno task fuzz --seed 1 --seconds 600 --only flac,webp
// A file must be read or refused with an error of ours, soon, and within
// bounds of memory. What is not is written to the folder of --save.
import { parseArgs } from "node:util";

import { mutate, seededRandom } from "./mutations.ts";
import { fuzzTargets } from "./fuzz_targets.ts";

const MAX_MS = 3000;
const MAX_TRAPS_SHOWN = 5;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    seconds: { type: "string", default: "60" },
    only: { type: "string", default: "" },
    save: { type: "string", default: "" },
  },
});

const only = values.only.split(",").filter((name) => name !== "");
const targets = (await fuzzTargets()).filter(({ name }) =>
  only.length === 0 || only.some((part) => name.includes(part))
);
const seed = Number(values.seed);
const end = performance.now() + Number(values.seconds) * 1000;
let runs = 0, refused = 0, traps = 0, failures = 0, slowest = 0;

for (let round = 0; performance.now() < end; round++) {
  for (const { name, bytes, parse, reseal, memoryBytes, maxBytes } of targets) {
    if (performance.now() >= end) break;
    const next = seededRandom(seed * 1_000_003 + round);
    let damaged = mutate(bytes, next);
    if (next() < 0.2) damaged = mutate(damaged, next);
    if (reseal !== undefined && next() < 0.7) reseal(damaged);
    const started = performance.now();
    let problem: string | undefined;
    try {
      await parse(damaged);
    } catch (error) {
      refused++;
      const { cause, message } = error as Error;
      if (cause instanceof WebAssembly.RuntimeError) {
        if (++traps <= MAX_TRAPS_SHOWN) {
          console.log(`${name}, round ${round}: ${message}\n${cause.stack}`);
        }
      } else if (!isOurs(error)) problem = `${(error as Error).stack ?? error}`;
    }
    runs++;
    const ms = performance.now() - started;
    slowest = Math.max(slowest, ms);
    if (ms > MAX_MS) problem = `took ${Math.round(ms)} ms`;
    const memory = memoryBytes?.() ?? 0;
    if (memory > maxBytes) problem = `took ${memory} bytes of memory`;
    if (problem === undefined) continue;
    failures++;
    console.error(`${name}, seed ${seed}, round ${round}: ${problem}`);
    if (values.save !== "") {
      await Deno.mkdir(values.save, { recursive: true });
      await Deno.writeFile(`${values.save}/${round}_${name}`, damaged);
    }
  }
}

console.log(
  `${runs} files of ${targets.length} kinds: ${refused} refused, ${failures} failures, ` +
    `${traps} traps recovered from, the slowest took ${Math.round(slowest)} ms`,
);
if (failures > 0 || runs === 0) Deno.exitCode = 1;

function isOurs(error: unknown): boolean {
  return error instanceof Error &&
    ["InputError", "UnsupportedError", "CheckpointError"].includes(error.name);
}
