// The towers at their size, beside PyTorch on the CPU and beside what the
// machine can do.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseGpuLine } from "../gpu/figures.ts";
import { table } from "../results_page.ts";
import type { EngineProcess } from "./engine_protocol.ts";
import type { Figures } from "./measure.ts";
import type { TowerWork } from "./tower_work.ts";

const PEER = fileURLToPath(
  new URL("../peers/transformers_cpu.py", import.meta.url),
);
const TIMES = 3;
const INPUTS = [["image", "image 768 x 768"], ["audio", "audio 30 s"]] as const;

/** Engines of one runtime with so many threads. */
export interface TowerEngines {
  readonly towers: EngineProcess;
  readonly bounds: EngineProcess;
  readonly threads: number;
}

/** Times each tower after its load, and the bound beside it. */
export async function measureTowers(
  { towers, bounds, threads }: TowerEngines,
  figures: Figures,
): Promise<void> {
  const key = `ours/${threads}`;
  for (const [name] of INPUTS) {
    figures.add(key, `${name} first`, await towers.call(name));
    for (let i = 0; i < TIMES; i++) {
      figures.add(key, name, await towers.call(name));
      figures.add(key, "dotRate", await bounds.call("dotRate"));
    }
  }
  figures.add(key, "peak", await towers.call("peakBytes"));
}

/** Times Transformers with this Python in float32. */
export function measureTowerPeer(
  python: string,
  threads: number,
  figures: Figures,
): void {
  const printed = execFileSync(python, [PEER, String(threads)], {
    encoding: "utf8",
  });
  for (const line of printed.split("\n")) {
    const figure = parseGpuLine(line);
    const input = INPUTS.find(([, label]) => label === figure?.name)?.[0];
    if (figure === undefined || input === undefined) continue;
    figures.add(`peer/${threads}`, input, figure.value / 1000);
  }
}

/** What was measured, as a table. */
export function towersTable(
  threads: readonly number[],
  work: TowerWork,
  figures: Figures,
): string {
  const rows = threads.flatMap((count) =>
    INPUTS.map(([name, label]) => {
      const key = `ours/${count}`;
      const seconds = figures.median(key, name)!;
      const best = figures.best(key, name, true)!;
      const peer = figures.median(`peer/${count}`, name);
      const bound = figures.best(key, "dotRate")!;
      const rate = work[name] / best;
      return [
        `${label}, ${count} ${count > 1 ? "threads" : "thread"}`,
        `${seconds.toFixed(2)} (${best.toFixed(2)})`,
        peer?.toFixed(2) ?? "",
        peer === undefined ? "" : `${(peer / seconds).toFixed(2)} x`,
        (2 * rate / 1e9).toFixed(0),
        `${(100 * rate / bound).toFixed(0)} %`,
        figures.median(key, `${name} first`)!.toFixed(2),
      ];
    })
  );
  return table([
    "q8",
    "this library, s (best)",
    "PyTorch float32, s",
    "as fast",
    "GOP/s at best",
    "of the bound of bytes",
    "first, with the load, s",
  ], rows);
}
