// The measured figures as a page of Markdown.
import { cpus, loadavg } from "node:os";
import { createRequire } from "node:module";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { execFileSync } from "node:child_process";
import { table, updatePage } from "../results_page.ts";
import type { DecoderWork } from "./decoder_work.ts";
import type { Figures } from "./measure.ts";

/** What is told. */
export interface Results {
  readonly figures: Figures;
  readonly runtimes: readonly string[];
  readonly threads: readonly number[];
  readonly file: string;
  readonly fileBytes: number;
  readonly work: DecoderWork;
}

const RATES: readonly (readonly [string, string])[] = [
  ["prefill 128", "prefill 128, tokens/s"],
  ["prefill 512", "prefill 512, tokens/s"],
  ["prefill 2048", "prefill 2048, tokens/s"],
  ["decode 128", "decode at 128, tokens/s"],
  ["decode 512", "decode at 512, tokens/s"],
  ["decode 4096", "decode at 4096, tokens/s"],
];

/** The page `before` with sections of the runtimes that were measured. */
export function renderResults(results: Results, before: string): string {
  return updatePage(
    before,
    new Map(
      results.runtimes.map((runtime) => [
        `${runtime}, ${results.file}`,
        renderSection(results, runtime),
      ]),
    ),
  );
}

function renderSection(results: Results, runtime: string): string {
  const { file, fileBytes, threads } = results;
  return [
    `## ${runtime}, ${file}`,
    `${machine(runtime)}; a file of ${
      megabytes(fileBytes)
    }; llama.cpp through node-llama-cpp ${peerVersion()}, on the CPU.`,
    disturbance(results.figures),
    ...threads.map((count) => peerTable(results, runtime, count)),
    boundsTable(results, runtime),
  ].filter((part) => part !== "").join("\n\n");
}

/** A section of one table. */
export function renderPart(
  runtime: string,
  name: string,
  parts: readonly string[],
  before: string,
): string {
  const heading = `${runtime}, ${name}`;
  const section = [`## ${heading}`, `${machine(runtime)}.`, ...parts];
  return updatePage(before, new Map([[heading, section.join("\n\n")]]));
}

/** When and where. */
function machine(runtime: string): string {
  const date = new Date().toISOString().slice(0, 10);
  return `${date}: ${runtime} ${version(runtime)} on ${
    cpus()[0]?.model
  }, ${cpus().length} processors, load average ${
    loadavg()[2]!.toFixed(1)
  } with the engines' own`;
}

/** Spread of turns on a machine that does nothing else. */
const QUIET_SPREAD = 1.1;

function disturbance(figures: Figures): string {
  if (figures.turns < 2) {
    return "One turn of each: whatever else the machine did is in the figures.";
  }
  const spread = figures.spread();
  return spread <= QUIET_SPREAD
    ? ""
    : `Other work disturbed this run: best turns are up to ${
      spread.toFixed(1)
    } times as fast as the median. Its ratios, shares and gains are no more than hints.`;
}

function peerTable(
  { figures }: Results,
  runtime: string,
  threads: number,
): string {
  const row = (name: string, label: string, format: Format, low = false) => {
    const [ours, peer] = ["ours", "llama.cpp"].map((engine) => {
      const key = `${runtime}/${engine}/${threads}`;
      return {
        median: figures.median(key, name),
        best: figures.best(key, name, low),
      };
    }) as [Figure, Figure];
    if (ours.median === undefined) return [];
    if (peer.median === undefined) {
      return [label, format(ours.median), "", "", ""];
    }
    return [
      label,
      format(ours.median),
      format(peer.median),
      (ours.median / peer.median).toFixed(2),
      (ours.best! / peer.best!).toFixed(2),
    ];
  };
  return table(
    [
      threadsOf(threads),
      "this library",
      "llama.cpp",
      "ratio",
      "ratio of the best",
    ],
    [
      ...RATES.map(([name, label]) => row(name, label, (x) => x.toFixed(2))),
      row("peak", "peak memory", megabytes, true),
      row("anonymous", "anonymous memory", megabytes, true),
      row("load", "load, s", (x) => x.toFixed(1), true),
    ],
  );
}

type Format = (value: number) => string;

interface Figure {
  readonly median: number | undefined;
  readonly best: number | undefined;
}

function threadsOf(count: number): string {
  return `${count} ${count > 1 ? "threads" : "thread"}`;
}

function boundsTable(
  { figures, threads, work }: Results,
  runtime: string,
): string {
  const rows: string[][] = [];
  const most = Math.max(...threads);
  for (const count of threads) {
    const bound = (name: string) =>
      figures.best(`${runtime}/bounds/${count}`, name)!;
    const ours = `${runtime}/ours/${count}`;
    const decode = figures.best(ours, "decode 128");
    const prefill = figures.best(ours, "prefill 512");
    if (decode === undefined || prefill === undefined) continue;
    const bytes = decode * work.weightBytes;
    const products = prefill * work.prefillMultiplyAdds(512) / 512;
    rows.push(
      shareRow(
        `decode, ${threadsOf(count)}: memory read`,
        bytes,
        bound("readRate"),
        "GB/s",
      ),
      shareRow(
        `decode, ${threadsOf(count)}: q4 kernel in cache`,
        bytes,
        bound("kernelRate"),
        "GB/s",
      ),
      shareRow(
        `prefill 512, ${threadsOf(count)}: products of bytes`,
        products,
        bound("dotRate"),
        "G/s",
      ),
    );
  }
  rows.push(...gainRows(figures, runtime, most));
  return table([
    "bound of the same run, best turns",
    "reached",
    "bound",
    "share",
  ], rows);
}

/** What more threads and fast prefill gain. */
function gainRows(
  figures: Figures,
  runtime: string,
  most: number,
): string[][] {
  const rows: string[][] = [];
  const one = `${runtime}/ours/1`;
  for (const name of ["prefill 512", "decode 128"]) {
    const [slow, fast] = [
      figures.best(one, name),
      figures.best(`${runtime}/ours/${most}`, name),
    ];
    if (most === 1 || slow === undefined || fast === undefined) continue;
    rows.push([
      `${name}: ${most} threads against one`,
      "",
      "",
      `${(fast / slow).toFixed(2)} x`,
    ]);
  }
  const whole = figures.best(`${runtime}/slow prefill/${most}`, "prefill 512");
  const fast = figures.best(`${runtime}/ours/${most}`, "prefill 512");
  if (whole !== undefined && fast !== undefined) {
    rows.push([
      "prefill 512: fast against whole",
      "",
      "",
      `${(fast / whole).toFixed(2)} x`,
    ]);
  }
  return rows;
}

function shareRow(
  label: string,
  reached: number,
  bound: number,
  unit: string,
): string[] {
  const figure = (x: number) => `${(x / 1e9).toFixed(1)} ${unit}`;
  return [
    label,
    figure(reached),
    figure(bound),
    `${(100 * reached / bound).toFixed(0)} %`,
  ];
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

function version(runtime: string): string {
  const args = runtime === "deno" ? ["-v"] : ["--version"];
  return execFileSync(runtime, args, { encoding: "utf8" })
    .replace(/^(deno|v)\s*/, "").trim();
}

function peerVersion(): string {
  const path = new URL(
    "../peers/node_modules/node-llama-cpp/package.json",
    import.meta.url,
  );
  if (!existsSync(fileURLToPath(path))) return "(not installed)";
  const { version } = createRequire(import.meta.url)(fileURLToPath(path));
  return version;
}
